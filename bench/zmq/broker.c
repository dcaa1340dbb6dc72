/* A broker of 7/MDP that forwards and does nothing else: one service, no
 * heartbeats, no bounds. It also answers some services itself, so that what a
 * worker costs can be left out:
 *
 *   local        answered at once with its own body
 *   slow         answered with its own body after SLOW_MS
 *   hole         never answered
 *   mmi.service  always 200
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORKERS = 64 };

typedef struct held {
	message m;
	int64_t due;
	struct held *next;
} held;

/* A list is a queue of messages. */
typedef struct {
	held *first, **end;
} list;

static struct {
	void *router;
	int64_t slow_us;
	zmq_msg_t idle[MAX_WORKERS]; /* routing ids, a ring */
	int oldest, idles;
	list waiting; /* for a worker */
	list slow;    /* for their time */
	char service[256];
	size_t service_size;
} b;

static void push(list *l, message *m, int64_t due)
{
	held *h = malloc(sizeof *h);
	insist(h != NULL, "malloc");
	for (int i = 0; i < m->frames; i++) {
		zmq_msg_init(&h->m.frame[i]);
		zmq_msg_move(&h->m.frame[i], &m->frame[i]);
	}
	h->m.frames = m->frames;
	h->due = due;
	h->next = NULL;
	discard(m);
	*l->end = h;
	l->end = &h->next;
}

static held *pop(list *l)
{
	held *h = l->first;
	l->first = h->next;
	if (l->first == NULL)
		l->end = &l->first;
	return h;
}

/* to_worker sends a request (id, '', MDPC01, service, body...) as
 * (worker, '', MDPW01, 2, id, '', body...). */
static void to_worker(message *m)
{
	zmq_msg_t *worker = &b.idle[b.oldest];
	if (zmq_msg_send(worker, b.router, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
		zmq_msg_close(worker);
	b.oldest = (b.oldest + 1) % MAX_WORKERS;
	b.idles--;
	send_text(b.router, "", 0, 1);
	send_text(b.router, "MDPW01", 6, 1);
	send_text(b.router, "\2", 1, 1);
	zmq_msg_send(&m->frame[0], b.router, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	zmq_msg_send(&m->frame[1], b.router, ZMQ_SNDMORE | ZMQ_DONTWAIT);
	send_from(b.router, m, 4);
}

static void from_client(message *m)
{
	if (m->frames < 5)
		discard(m);
	else if (is(m, 3, "local"))
		send_from(b.router, m, 0);
	else if (is(m, 3, "slow"))
		push(&b.slow, m, now_us() + b.slow_us);
	else if (is(m, 3, "hole"))
		discard(m);
	else if (is(m, 3, "mmi.service")) {
		zmq_msg_close(&m->frame[4]);
		zmq_msg_init_size(&m->frame[4], 3);
		memcpy(zmq_msg_data(&m->frame[4]), "200", 3);
		send_from(b.router, m, 0);
	} else if (b.idles > 0)
		to_worker(m);
	else
		push(&b.waiting, m, 0);
}

/* from_worker takes (worker, '', MDPW01, command, ...): READY with the service,
 * or a reply with (client, '', body...), which leaves as
 * (client, '', MDPC01, service, body...). */
static void from_worker(message *m)
{
	if (m->frames < 4)
		return discard(m);
	char command = *(char *)zmq_msg_data(&m->frame[3]);
	if (command == 1 && m->frames == 5) {
		b.service_size = zmq_msg_size(&m->frame[4]);
		insist(b.service_size < sizeof b.service, "service name");
		memcpy(b.service, zmq_msg_data(&m->frame[4]), b.service_size);
	} else if (command == 3 && m->frames > 6) {
		zmq_msg_send(&m->frame[4], b.router, ZMQ_SNDMORE | ZMQ_DONTWAIT);
		zmq_msg_send(&m->frame[5], b.router, ZMQ_SNDMORE | ZMQ_DONTWAIT);
		send_text(b.router, "MDPC01", 6, 1);
		send_text(b.router, b.service, b.service_size, 1);
		for (int i = 6; i < m->frames; i++)
			zmq_msg_send(&m->frame[i], b.router, (i + 1 < m->frames ? ZMQ_SNDMORE : 0) | ZMQ_DONTWAIT);
		m->frames = 4;
	} else
		return discard(m);
	insist(b.idles < MAX_WORKERS, "too many workers");
	zmq_msg_t *worker = &b.idle[(b.oldest + b.idles++) % MAX_WORKERS];
	zmq_msg_init(worker);
	zmq_msg_move(worker, &m->frame[0]);
	discard(m);
	if (b.waiting.first != NULL) {
		held *h = pop(&b.waiting);
		to_worker(&h->m);
		free(h);
	}
}

/* answer_slow answers those whose time has come and returns how long the next
 * has to wait, in milliseconds, -1 if there is none. */
static long answer_slow(void)
{
	while (b.slow.first != NULL) {
		int64_t left = b.slow.first->due - now_us();
		if (left > 0)
			return (long)(left / 1000 + 1);
		held *h = pop(&b.slow);
		send_from(b.router, &h->m, 0);
		free(h);
	}
	return -1;
}

/* run_broker ENDPOINT SLOW_MS */
int run_broker(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench-zmq broker ENDPOINT SLOW_MS\n");
		return 2;
	}
	void *ctx = zmq_ctx_new();
	int backlog = 4096;
	b.router = zmq_socket(ctx, ZMQ_ROUTER);
	b.slow_us = atoll(argv[1]) * 1000;
	b.waiting.end = &b.waiting.first;
	b.slow.end = &b.slow.first;
	zmq_setsockopt(b.router, ZMQ_BACKLOG, &backlog, sizeof backlog);
	insist(zmq_bind(b.router, argv[0]) == 0, argv[0]);
	message m;
	for (;;) {
		zmq_pollitem_t item = {b.router, 0, ZMQ_POLLIN, 0};
		zmq_poll(&item, 1, answer_slow());
		for (int i = 0; i < 100 && receive(b.router, &m); i++) {
			if (is(&m, 2, "MDPC01"))
				from_client(&m);
			else if (is(&m, 2, "MDPW01"))
				from_worker(&m);
			else
				discard(&m);
		}
	}
}
