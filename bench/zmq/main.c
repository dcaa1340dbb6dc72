/* bench-zmq broker|workers|dealers|zhttp: see each run_ function. */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void insist(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench-zmq: %s: %s\n", what, zmq_strerror(errno));
	exit(1);
}

int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int receive(void *socket, message *m)
{
	m->frames = 0;
	do {
		insist(m->frames < MAX_FRAMES, "message of too many frames");
		zmq_msg_t *f = &m->frame[m->frames];
		zmq_msg_init(f);
		if (zmq_msg_recv(f, socket, ZMQ_DONTWAIT) < 0)
			return 0;
		m->frames++;
	} while (zmq_msg_more(&m->frame[m->frames - 1]));
	return 1;
}

void send_from(void *socket, message *m, int first)
{
	for (int i = 0; i < m->frames; i++) {
		int more = i + 1 < m->frames ? ZMQ_SNDMORE : 0;
		if (i < first || zmq_msg_send(&m->frame[i], socket, more | ZMQ_DONTWAIT) < 0)
			zmq_msg_close(&m->frame[i]);
	}
	m->frames = 0;
}

void discard(message *m)
{
	for (int i = 0; i < m->frames; i++)
		zmq_msg_close(&m->frame[i]);
	m->frames = 0;
}

int is(message *m, int frame, const char *text)
{
	size_t size = strlen(text);
	return frame < m->frames && zmq_msg_size(&m->frame[frame]) == size &&
	       memcmp(zmq_msg_data(&m->frame[frame]), text, size) == 0;
}

void send_text(void *socket, const char *text, size_t size, int more)
{
	zmq_send(socket, text, size, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "broker") == 0)
		return run_broker(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "workers") == 0)
		return run_workers(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "dealers") == 0)
		return run_dealers(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "zhttp") == 0)
		return run_zhttp(argc - 2, argv + 2);
	fprintf(stderr, "usage: bench-zmq broker|workers|dealers|zhttp ...\n");
	return 2;
}
