/* The C side of the benchmark: what the gateway talks to, and what it is
 * compared with, as cheap as libzmq lets it be. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

enum { MAX_FRAMES = 64 };

/* A message is the frames of one message. */
typedef struct {
	zmq_msg_t frame[MAX_FRAMES];
	int frames;
} message;

/* receive reads one message without waiting. It returns 0 if there is none. */
int receive(void *socket, message *m);

/* send_from sends the frames from first on, and closes those before it. What
 * can't be sent is dropped, as brokers do. */
void send_from(void *socket, message *m, int first);

/* discard closes all frames. */
void discard(message *m);

/* is reports whether a frame holds exactly that text. */
int is(message *m, int frame, const char *text);

/* send_text sends one short frame, more if others of its message follow. */
void send_text(void *socket, const char *text, size_t size, int more);

/* insist ends the program with what failed. */
void insist(int ok, const char *what);

int64_t now_us(void);

int run_broker(int argc, char **argv);
int run_workers(int argc, char **argv);
int run_dealers(int argc, char **argv);
int run_zhttp(int argc, char **argv);

#endif
