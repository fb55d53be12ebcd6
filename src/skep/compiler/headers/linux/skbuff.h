// Small functions on packets (linux/skbuff.h).
#pragma once
#include <linux/if_ether.h>
#include <linux/if_packet.h>
static inline int skb_rx_queue_recorded(const struct sk_buff *skb) { return skb->queue_mapping != 0; }
static inline u16 skb_get_rx_queue(const struct sk_buff *skb) { return skb->queue_mapping - 1; }
