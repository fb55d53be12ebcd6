#pragma once
#include <linux/list.h>
