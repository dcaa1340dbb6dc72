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

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// limitArenas keeps the C library to one heap. With glibc's default, an arena per
// thread, 6,000 timeouts grew the process from 40 to 78 MB, which it never gave back;
// with one it went to 64 MB and stayed there.
var limitArenas = sync.OnceFunc(func() { C.limit_arenas() })

// TrimHeap gives the C library's free memory back to the system. The library keeps what
// large messages took otherwise, in the hope of more of them; a lower M_MMAP_THRESHOLD,
// which would give each back at once, halves the throughput of bodies of 1 MiB.
func TrimHeap() { C.trim_heap() }

// LargeMessage is from where on a message's memory is worth giving back.
const LargeMessage = 1 << 20

// TrimEvery is how often that is looked after.
const TrimEvery = 10 * time.Second

// A Heap gives the memory of large messages back to the system once there are no more of
// them: while they come, the next one needs it.
type Heap struct {
	recent  atomic.Bool // there were some since the last look
	swollen bool        // there were some before; owned by who trims
}

// Note tells of a message of that size. Any goroutine may call it.
func (h *Heap) Note(size int64) {
	if size > LargeMessage {
		h.recent.Store(true)
	}
}

// Trim is to be called every TrimEvery, by one goroutine.
func (h *Heap) Trim() (trimmed bool) {
	switch recent := h.recent.Swap(false); {
	case recent:
		h.swollen = true
	case h.swollen:
		h.swollen = false
		TrimHeap()
		debug.FreeOSMemory()
		return true
	}
	return false
}
