#pragma once
#include <linux/if_ether.h>
#include <linux/in.h>
