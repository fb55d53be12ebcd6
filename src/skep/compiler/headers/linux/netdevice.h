#pragma once
#include <linux/list.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/skbuff.h>
