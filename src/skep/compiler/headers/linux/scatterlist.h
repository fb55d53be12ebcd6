// Links of a scatterlist are in the two low bits of page_link (linux/scatterlist.h).
#pragma once
#define SG_CHAIN 0x01UL
#define SG_END 0x02UL
#define SG_PAGE_LINK_MASK (SG_CHAIN | SG_END)
static inline unsigned int sg_is_chain(struct scatterlist *sg) { return sg->page_link & SG_CHAIN; }
static inline unsigned int sg_is_last(struct scatterlist *sg) { return sg->page_link & SG_END; }
static inline struct scatterlist *sg_chain_ptr(struct scatterlist *sg) {
    return (struct scatterlist *)(sg->page_link & ~SG_PAGE_LINK_MASK);
}
