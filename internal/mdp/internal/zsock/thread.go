package zsock

/*
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
static int schedule(int policy) {
	struct sched_param none = {0};
	return pthread_setschedparam(pthread_self(), policy, &none);
}
static int may_batch(void) { return schedule(SCHED_BATCH) == 0 && schedule(SCHED_OTHER) == 0; }
*/
import "C"

import zmq "github.com/pebbe/zmq4"

// batch makes the I/O thread of zctx one that does not push others off a busy CPU
// when it is woken (SCHED_BATCH): the goroutine that woke it goes on, and there is
// more to do at once when its turn comes. libzmq aborts the process if it may not, as
// in a sandbox without sched_setscheduler, so this asks first.
func batch(zctx *zmq.Context) error {
	if C.may_batch() == 0 {
		return nil
	}
	return zctx.SetThreadSchedPolicy(C.SCHED_BATCH)
}
