#pragma once
#include <linux/time64.h>
