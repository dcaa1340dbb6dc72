package zsock

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __GLIBC__
static void trim_heap(void) { malloc_trim(0); }
#else
static void trim_heap(void) {}
#endif
*/
import "C"

// TrimHeap gives the C library's free memory back to the system. It keeps what
// large messages took otherwise, in the hope of more of them; a lower
// M_MMAP_THRESHOLD, which would give each back at once, halves the throughput of
// bodies of 1 MiB.
func TrimHeap() { C.trim_heap() }
