#pragma once
#include <linux/scatterlist.h>
