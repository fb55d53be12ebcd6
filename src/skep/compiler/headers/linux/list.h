// Entries of lists and trees (linux/list.h, linux/rbtree.h).
#pragma once
#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) list_entry((head)->prev, type, member)
#define list_next_entry(entry, member) list_entry((entry)->member.next, typeof(*(entry)), member)
#define list_prev_entry(entry, member) list_entry((entry)->member.prev, typeof(*(entry)), member)
#define hlist_entry(pointer, type, member) container_of(pointer, type, member)
#define rb_entry(pointer, type, member) container_of(pointer, type, member)
