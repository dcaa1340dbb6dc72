/* Direct clients: N DEALERs, one request in flight on each, from one thread. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
	char *body;
	size_t size;
	const char *service;
} request;

static void ask(void *s, const request *r)
{
	send_text(s, "", 0, 1);
	send_text(s, "MDPC01", 6, 1);
	send_text(s, r->service, strlen(r->service), 1);
	send_text(s, r->body, r->size, 0);
}

static int right(message *m, const request *r)
{
	return m->frames == 4 && is(m, 2, r->service) && zmq_msg_size(&m->frame[3]) == r->size &&
	       memcmp(zmq_msg_data(&m->frame[3]), r->body, r->size) == 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* run_dealers ENDPOINT SERVICE CALLERS SIZE SECONDS prints what it measured as
 * one line of JSON. */
int run_dealers(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: bench-zmq dealers ENDPOINT SERVICE CALLERS SIZE SECONDS\n");
		return 2;
	}
	int n = atoi(argv[2]);
	request r = {.service = argv[1], .size = (size_t)atoll(argv[3])};
	r.body = malloc(r.size + 1);
	memset(r.body, 'x', r.size);
	int64_t took_us = (int64_t)(atof(argv[4]) * 1e6);
	void *ctx = zmq_ctx_new();
	zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, n + 8);
	zmq_pollitem_t *items = calloc((size_t)n, sizeof *items);
	int64_t *sent = calloc((size_t)n, sizeof *sent);
	size_t room = 1 << 22, done = 0, wrong = 0;
	double *ms = malloc(room * sizeof *ms);
	for (int i = 0; i < n; i++) {
		items[i] = (zmq_pollitem_t){zmq_socket(ctx, ZMQ_DEALER), 0, ZMQ_POLLIN, 0};
		insist(zmq_connect(items[i].socket, argv[0]) == 0, argv[0]);
	}
	int64_t start = now_us(), end = start + took_us;
	for (int i = 0; i < n; i++) {
		sent[i] = now_us();
		ask(items[i].socket, &r);
	}
	message m;
	while (now_us() < end) {
		zmq_poll(items, n, 100);
		for (int i = 0; i < n; i++) {
			if (!(items[i].revents & ZMQ_POLLIN) || !receive(items[i].socket, &m))
				continue;
			int64_t t = now_us();
			wrong += !right(&m, &r);
			discard(&m);
			if (done < room)
				ms[done++] = (double)(t - sent[i]) / 1000;
			sent[i] = t;
			ask(items[i].socket, &r);
		}
	}
	double seconds = (double)(now_us() - start) / 1e6;
	qsort(ms, done, sizeof *ms, by_value);
	printf("{\"requests\":%zu,\"seconds\":%f,\"wrong\":%zu,\"p50\":%f,\"p99\":%f}\n", done, seconds, wrong,
	       done ? ms[done / 2] : 0, done ? ms[done * 99 / 100] : 0);
	fflush(stdout);
	_Exit(0); /* replies in flight are nobody's */
}
