/* Workers of 7/MDP that reply what they are sent. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX = 64, HEARTBEAT_US = 1000000 };

static void ready(void *s, const char *service, size_t size)
{
	send_text(s, "", 0, 1);
	send_text(s, "MDPW01", 6, 1);
	send_text(s, "\1", 1, 1);
	send_text(s, service, size, 0);
}

/* handle takes ('', MDPW01, command, ...). A request goes back as it came, with
 * another command. */
static void handle(void *s, message *m, const char *service, size_t size)
{
	char command = m->frames > 2 ? *(char *)zmq_msg_data(&m->frame[2]) : 0;
	if (command == 2) {
		*(char *)zmq_msg_data(&m->frame[2]) = 3;
		send_from(s, m, 0);
		return;
	}
	if (command == 5) /* DISCONNECT: the broker had forgotten it */
		ready(s, service, size);
	discard(m);
}

/* run_workers ENDPOINT SERVICE N */
int run_workers(int argc, char **argv)
{
	int n = argc == 3 ? atoi(argv[2]) : 0;
	if (n < 1 || n > MAX) {
		fprintf(stderr, "usage: bench-zmq workers ENDPOINT SERVICE N\n");
		return 2;
	}
	size_t size = 0;
	while (argv[1][size])
		size++;
	void *ctx = zmq_ctx_new();
	zmq_pollitem_t items[MAX];
	for (int i = 0; i < n; i++) {
		items[i] = (zmq_pollitem_t){zmq_socket(ctx, ZMQ_DEALER), 0, ZMQ_POLLIN, 0};
		insist(zmq_connect(items[i].socket, argv[0]) == 0, argv[0]);
		ready(items[i].socket, argv[1], size);
	}
	int64_t beat = now_us() + HEARTBEAT_US;
	message m;
	for (;;) {
		zmq_poll(items, n, HEARTBEAT_US / 1000);
		for (int i = 0; i < n; i++)
			while ((items[i].revents & ZMQ_POLLIN) && receive(items[i].socket, &m))
				handle(items[i].socket, &m, argv[1], size);
		if (now_us() < beat)
			continue;
		beat = now_us() + HEARTBEAT_US;
		for (int i = 0; i < n; i++) {
			send_text(items[i].socket, "", 0, 1);
			send_text(items[i].socket, "MDPW01", 6, 1);
			send_text(items[i].socket, "\4", 1, 0);
		}
	}
}
