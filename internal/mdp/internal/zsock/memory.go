package zsock

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
static unsigned long long heap_in_use(void) {
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}
#else
static unsigned long long heap_in_use(void) { return 0; }
#endif
#ifdef __GLIBC__
static void trim_heap(void) { malloc_trim(0); }
#else
static void trim_heap(void) {}
#endif
*/
import "C"

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// HeapInUse returns how many bytes are allocated on the C library's heap, which
// is to say by libzmq: connections, messages that wait to be sent or taken, and
// the frames that are arriving, each in its declared length from its first byte
// on. It is 0 where the C library does not tell (glibc before 2.33, musl). It takes the
// longer the more free pieces there are between messages, and nobody can allocate or
// free meanwhile.
func HeapInUse() int64 { return int64(C.heap_in_use()) }

// TrimHeap gives the C library's free memory back to the system. It keeps what
// large messages took otherwise, in the hope of more of them; a lower
// M_MMAP_THRESHOLD, which would give each back at once, halves the throughput of
// bodies of 1 MiB.
func TrimHeap() { C.trim_heap() }

// WireSize returns how many bytes the frames of a message are of a connection, with
// what ZMTP puts before each: flags and a length, of a byte or of eight.
func WireSize(frames [][]byte) (n int64) {
	for _, frame := range frames {
		n += int64(len(frame)) + 2
		if len(frame) > 255 {
			n += 7
		}
	}
	return n
}

// Arrived returns, by Mark, how many bytes the kernel has received over each TCP
// connection of a Dealer since it began, whether or not libzmq or anyone else has
// read them. It looks at every open file of the process, a microsecond each.
func Arrived() map[int]int64 {
	arrived := map[int]int64{}
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return arrived
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read of them is of use, too
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		mark, ok := markOf(fd)
		if !ok {
			continue
		}
		if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			arrived[mark] += int64(info.Bytes_received)
		}
	}
	return arrived
}
