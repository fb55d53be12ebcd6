#pragma once
#include <asm/page.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#define folio_page(folio, n) (&(folio)->page + (n))
