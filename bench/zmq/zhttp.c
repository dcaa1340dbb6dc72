/* The handler behind Pushpin: answers each ZHTTP request with its own body. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A slice is a part of the request. */
typedef struct {
	const char *at;
	size_t size;
} slice;

/* next cuts one tnetstring (size:data and a byte for its type) off in. */
static slice next(slice *in)
{
	char *colon;
	size_t size = strtoul(in->at, &colon, 10);
	slice data = {colon + 1, size};
	size_t whole = (size_t)(colon + 1 - in->at) + size + 1;
	insist(*colon == ':' && whole <= in->size, "malformed ZHTTP request");
	in->at += whole;
	in->size -= whole;
	return data;
}

/* run_zhttp ENDPOINT connects to Pushpin's socket. */
int run_zhttp(int argc, char **argv)
{
	if (argc != 1) {
		fprintf(stderr, "usage: bench-zmq zhttp ENDPOINT\n");
		return 2;
	}
	void *ctx = zmq_ctx_new();
	void *s = zmq_socket(ctx, ZMQ_REP);
	insist(zmq_connect(s, argv[0]) == 0, argv[0]);
	static const char head[] = "4:code,3:200#6:reason,2:OK,";
	for (;;) {
		zmq_msg_t m;
		zmq_msg_init(&m);
		if (zmq_msg_recv(&m, s, 0) < 0)
			continue;
		slice whole = {(char *)zmq_msg_data(&m) + 1, zmq_msg_size(&m) - 1};
		slice dict = next(&whole), id = {"", 0}, body = {"", 0};
		while (dict.size > 0) {
			slice key = next(&dict), value = next(&dict);
			if (key.size == 2 && memcmp(key.at, "id", 2) == 0)
				id = value;
			if (key.size == 4 && memcmp(key.at, "body", 4) == 0)
				body = value;
		}
		char *out = malloc(id.size + body.size + 256), *inner = malloc(id.size + body.size + 128);
		size_t n = (size_t)sprintf(inner, "2:id,%zu:%.*s,%s4:body,%zu:", id.size, (int)id.size, id.at, head, body.size);
		memcpy(inner + n, body.at, body.size);
		n += body.size;
		inner[n++] = ',';
		size_t total = (size_t)sprintf(out, "T%zu:", n);
		memcpy(out + total, inner, n);
		total += n;
		out[total++] = '}';
		zmq_send(s, out, total, 0);
		free(out);
		free(inner);
		zmq_msg_close(&m);
	}
}
