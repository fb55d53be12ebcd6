#pragma once
#include <linux/security.h>
