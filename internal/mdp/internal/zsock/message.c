#include "message.h"

#include <errno.h>
#include <string.h>

/* A signal may end a call in libzmq's look at its mailbox. */
#define UNINTERRUPTED(rc, call) do { rc = (call); } while (rc < 0 && errno == EINTR)

int zsock_send(void *socket, const void *bytes, const size_t *sizes, int n, bool more)
{
	const char *next = bytes;
	for (int i = 0; i < n; i++) {
		int flags = more || i < n - 1 ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT;
		int rc;
		UNINTERRUPTED(rc, zmq_send(socket, next, sizes[i], flags));
		if (rc < 0)
			return i > 0 ? errno | ZSOCK_TORN : errno;
		next += sizes[i];
	}
	return 0;
}

int zsock_forward(void *socket, zsock_inbox *in, const void *data, bool more)
{
	int rc, i = 0;
	zmq_msg_t m;
	while (i < in->larges && zmq_msg_data(&in->kept[i]) != data)
		i++;
	if (i == in->larges)
		return EINVAL;
	zmq_msg_init(&m);
	zmq_msg_copy(&m, &in->kept[i]); /* shares the bytes, of which it counts the users */
	UNINTERRUPTED(rc, zmq_msg_send(&m, socket, more ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT));
	if (rc < 0) {
		rc = errno; /* which zmq_msg_close may set */
		zmq_msg_close(&m);
		return rc;
	}
	return 0;
}

int zsock_begin(void *socket, const void *bytes, const size_t *sizes, int n, bool more)
{
	int events = zsock_events(socket);
	if (events < 0)
		return -events;
	if (events & ZMQ_POLLIN)
		return ZSOCK_STRAY;
	if (!(events & ZMQ_POLLOUT))
		return ZSOCK_LOST;
	return zsock_send(socket, bytes, sizes, n, more);
}

/* note_user keeps the User-Id that the ZAP handler gave the sender. */
static void note_user(zsock_inbox *in, zmq_msg_t *m)
{
	const char *user = zmq_msg_gets(m, "User-Id");
	in->user[0] = '\0';
	if (user != NULL && strlen(user) < ZSOCK_USER)
		strcpy(in->user, user);
}

/* put adds a frame that was received, whose message is kept if it is large. */
static void put(zsock_inbox *in, zmq_msg_t *m)
{
	size_t size = zmq_msg_size(m);
	void *data = zmq_msg_data(m);
	if (in->wants_source && in->frames == 1) /* the first is ROUTER's own */
		in->source = zmq_msg_get(m, ZMQ_SRCFD);
	if (in->wants_user && in->frames == 1)
		note_user(in, m);
	in->size[in->frames] = size;
	in->more = zmq_msg_more(m);
	if (size <= ZSOCK_SMALL - in->used) {
		memcpy(in->small + in->used, data, size);
		in->used += size;
		in->large[in->frames] = NULL;
		zmq_msg_close(m);
	} else {
		in->large[in->frames] = data;
		in->larges++;
	}
	in->frames++;
}

int zsock_receive(void *socket, zsock_inbox *in)
{
	in->frames = in->larges = 0;
	in->used = 0;
	do {
		zmq_msg_t *m = &in->kept[in->larges];
		int rc;
		zmq_msg_init(m);
		UNINTERRUPTED(rc, zmq_msg_recv(m, socket, ZMQ_DONTWAIT));
		if (rc < 0) {
			int err = errno; /* which zmq_msg_close may set */
			zmq_msg_close(m);
			return in->frames > 0 ? err | ZSOCK_TORN : err;
		}
		put(in, m);
	} while (in->more && in->frames < ZSOCK_FRAMES);
	return 0;
}

int zsock_look(void *socket, zsock_inbox *in)
{
	int rc;
	in->frames = in->larges = 0;
	do {
		in->events = zsock_events(socket);
		if (in->events < 0)
			return -in->events;
		if (!(in->events & ZMQ_POLLIN))
			return EAGAIN;
		rc = zsock_receive(socket, in);
	} while (rc == EAGAIN); /* what there was went before it could be taken */
	return rc;
}

void zsock_drop(zsock_inbox *in)
{
	while (in->larges > 0)
		zmq_msg_close(&in->kept[--in->larges]);
}

int zsock_events(void *socket)
{
	int events, rc;
	size_t size = sizeof events;
	UNINTERRUPTED(rc, zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size));
	return rc < 0 ? -errno : events;
}
