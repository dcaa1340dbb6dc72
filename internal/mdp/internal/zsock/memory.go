package zsock

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void limit_arenas(void) { mallopt(M_ARENA_MAX, 1); }
static void trim_heap(void) { malloc_trim(0); }
#else
static void limit_arenas(void) {}
static void trim_heap(void) {}
#endif
*/
import "C"

import "sync"

// limitArenas keeps the C library to one heap. With glibc's default, an arena per
// thread, 6,000 timeouts grew the process from 40 to 78 MB, which it never gave back;
// with one it went to 64 MB and stayed there.
var limitArenas = sync.OnceFunc(func() { C.limit_arenas() })

// TrimHeap gives the C library's free memory back to the system. The library keeps what
// large messages took otherwise, in the hope of more of them; a lower M_MMAP_THRESHOLD,
// which would give each back at once, halves the throughput of bodies of 1 MiB.
func TrimHeap() { C.trim_heap() }
