#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

/* libzmq asks for the process's id at each look at a mailbox, to notice a fork: eight
 * system calls for a request and its reply. This process never forks without exec, so
 * its id never changes. libzmq gets this function in place of libc's, since the linker
 * looks in the program first. */
pid_t getpid(void)
{
	static _Atomic pid_t id;
	if (id == 0)
		id = syscall(SYS_getpid);
	return id;
}
