/* Whole messages in one call: from Go, a call into C costs as much as an
 * allocation, and libzmq's own interface takes six for each frame. None of these
 * functions waits. */
#ifndef ZSOCK_MESSAGE_H
#define ZSOCK_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <zmq.h>

enum {
	ZSOCK_FRAMES = 8,    /* received by one call */
	ZSOCK_SMALL = 512,   /* bytes of them that are copied at once */
	ZSOCK_USER = 41,     /* a key in Z85 and its NUL */
	/* Beside an errno: */
	ZSOCK_TORN = 1 << 30,  /* it was not the message's first frame */
	ZSOCK_STRAY = 1 << 29, /* nothing was sent: a message waits in the socket */
	ZSOCK_LOST = 1 << 28   /* nothing was sent: it has no connection */
};

/* An inbox holds the next frames of a message. Small ones are copied into it, one
 * after the other. Those that do not fit stay where libzmq has them, until
 * zsock_drop. */
typedef struct {
	int events; /* of the last look */
	bool wants_source;
	bool wants_user;
	char user[ZSOCK_USER]; /* User-Id of the sender of the last message, or ""; if wanted */
	int source; /* descriptor of the connection of the last message, or -1; if wanted */
	int frames;
	bool more; /* the message goes on */
	size_t size[ZSOCK_FRAMES];
	void *large[ZSOCK_FRAMES]; /* the frame's bytes, or NULL: the next ones in small */
	size_t used;               /* bytes of small */
	char small[ZSOCK_SMALL];
	int larges;
	zmq_msg_t kept[ZSOCK_FRAMES]; /* the large frames */
} zsock_inbox;

/* zsock_send sends n frames, whose bytes stand one after the other. more says that
 * their message goes on. It returns 0 or an errno. */
int zsock_send(void *socket, const void *bytes, const size_t *sizes, int n, bool more);

/* zsock_forward sends the large frame of the inbox whose bytes are at data, without copying
 * them. It returns 0 or an errno, EINVAL if there is no such frame. */
int zsock_forward(void *socket, zsock_inbox *in, const void *data, bool more);

/* zsock_begin is zsock_send for a socket that rests, with one connection and nothing
 * in it. */
int zsock_begin(void *socket, const void *bytes, const size_t *sizes, int n, bool more);

/* zsock_receive receives up to ZSOCK_FRAMES frames of one message. It returns 0 or
 * an errno. */
int zsock_receive(void *socket, zsock_inbox *in);

/* zsock_look is zsock_receive if ZMQ_EVENTS, which it keeps, says that there is a
 * message. */
int zsock_look(void *socket, zsock_inbox *in);

/* zsock_drop gives the large frames back to libzmq. */
void zsock_drop(zsock_inbox *in);

/* zsock_events returns what ZMQ_EVENTS says, or an errno less than 0. */
int zsock_events(void *socket);

#endif
