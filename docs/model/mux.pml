/*
 * MDPX/1 (docs/mdpx.md), for spin: a gateway that carries its calls over one connection,
 * the broker, and workers that answer twice or are lost with what they have. The
 * connection breaks and is replaced; the broker dies and comes back without memory, to
 * workers that still hold what its former life gave them.
 *
 * Claims:  an answer is only ever delivered to the call that asked;
 *          a request is answered at most once, and once nothing moves any more it was
 *          answered, or its connection has ended;
 *          a call that was told "not executed" is never executed;
 *          no worker is given a request after its ttl.
 *
 * A request is (connection, id); the number of its call goes with it as a ghost, so that
 * claims can be checked. The broker gives a worker a token with each request, which no
 * other request has or had: the model takes the call's number for it.
 *
 * With no definition all rules hold. Each definition removes one:
 *
 *   NO_NEW_ID    an id is used again once its call has ended
 *   NO_RANDOM    a new connection has the routing id of the one before
 *   NO_MAYBE     a call whose connection ended, or that heard no word, counts as not executed
 *   NO_TOKEN     a worker's reply is taken for that to the request which it has
 *   NO_LOOK      CANCEL of a request that a worker has is answered with REFUSED
 *   NO_GIVEN     so is that of one that waits for another worker, its first being lost
 *   NO_DROP      the late reply to a canceled request is sent
 *   NO_REMOVE    a canceled request stays in the queue
 *   NO_DEADLINE  a worker that comes free is given a request whatever its ttl
 *   NO_GONE      nobody is told that a worker was lost
 *
 * ALONE is with one worker, and MISHAPS says how often something may go wrong: both bound
 * the number of states.
 */

#define CALLS   2                  /* numbered from 1: of one caller, one after the other, or of two at once */
#ifdef ALONE
#define WORKERS 1
#else
#define WORKERS 2
#endif
#define ROOM    3                  /* messages in any channel */

mtype = { REQUEST, CANCEL, FINAL, REFUSED, GONE, MAYBE };
mtype = { NEW, QUEUED, GIVEN, OVER };

#ifndef MISHAPS
#define MISHAPS 1
#endif
byte mishaps = MISHAPS;            /* how often a connection, the broker or a worker fails */
byte ttls = 1;                     /* how many may yet pass */

/* The gateway. */
bool connected = true;
byte conn = 1;                     /* the connection, counted */
byte rid = 1;                      /* its routing id */
byte ids;                          /* the last id given on it */
byte table[CALLS + 1];             /* by id: the call that waits for its answer */
mtype verdict[CALLS + 1];          /* what a call was told */

chan up = [ROOM] of { mtype, byte, byte, byte, byte };  /* command, routing id, connection, id, call */
chan down = [ROOM] of { mtype, byte, byte };            /* command, id, call */

/* The broker. */
mtype state[CALLS + 1] = NEW;      /* of a request, by its token */
byte from[CALLS + 1], over[CALLS + 1], as[CALLS + 1]; /* its routing id, connection and id */
bool given[CALLS + 1];             /* a worker had it */
byte has[WORKERS];                 /* the request of a worker; 0: it rests */
bool member[WORKERS] = true;       /* it is registered */
#define SECOND (WORKERS - 1)

chan work0 = [2] of { byte };
chan work1 = [2] of { byte };
chan replies = [ROOM] of { byte, byte };                /* worker, token */

/* What claims are about. */
bool passed[CALLS + 1];            /* the ttl has */
bool ran[CALLS + 1], refused[CALLS + 1];
byte answers[CALLS + 1];
byte sent[CALLS + 1];              /* the connection that the request was sent over */

#define ENDED(c) ((c) != conn || !connected)

/* The broker answers request q; its body is that of another call if body is. */
inline answer(word, q, body) {
	answers[q]++;
	assert(answers[q] == 1);
	if
	:: connected && from[q] == rid -> down!word, as[q], body
	:: else
	fi
}

inline tell(call, word) {
	verdict[call] = word;
	if
	:: word == REFUSED -> refused[call] = true; assert(!ran[call])
	:: else
	fi
}

#ifdef NO_MAYBE
#define UNKNOWN REFUSED
#else
#define UNKNOWN MAYBE
#endif

proctype Caller(byte first, calls) {
	byte k = first, id, mine;
	do
	:: k == first + calls -> break
	:: else ->
		atomic {
			connected && nfull(up);
#ifdef NO_NEW_ID
			id = 1;
			do :: table[id] != 0 -> id++ :: else -> break od;
#else
			ids++; id = ids;
#endif
			mine = conn; sent[k] = conn; table[id] = k;
			up!REQUEST, rid, conn, id, k
		}
		if
		:: verdict[k] != 0
		:: atomic { verdict[k] == 0 && nfull(up) && !ENDED(mine) -> up!CANCEL, rid, conn, id, k };
			if
			:: verdict[k] != 0
			:: atomic { verdict[k] == 0 -> table[id] = 0; tell(k, UNKNOWN) } /* no word */
			fi
		fi;
		atomic { k++; id = 0; mine = 0 }
	od
}

/* Takes what comes over the connection. An id that nobody waits for is a stray. */
proctype Reader() {
	mtype command;
	byte id, k;
end:	do
	:: atomic { down?command, id, k ->
		if
		:: table[id] != 0 ->
			assert(table[id] == k);
			tell(table[id], command);
			table[id] = 0
		:: else
		fi;
		command = 0; id = 0; k = 0 }
	od
}

inline cut() {
	connected = false;
	do :: down?_, _, _ :: empty(down) -> break od;
	i = 1;
	do
	:: i > CALLS -> break
	:: else ->
		if
		:: table[i] != 0 -> tell(table[i], UNKNOWN); table[i] = 0
		:: else
		fi;
		i++
	od;
	i = 0
}

proctype Line() {
	byte i;
end:	do
	:: atomic { connected && mishaps > 0 -> mishaps--; cut() }       /* the broker may read what was sent */
	:: atomic { connected && mishaps > 0 -> mishaps--; cut(); do :: up?_, _, _, _, _ :: empty(up) -> break od }
	:: atomic { connected && mishaps > 0 ->                       /* kill -9 of the broker */
		mishaps--; cut();
		do :: up?_, _, _, _, _ :: empty(up) -> break od;
		do :: replies?_, _ :: empty(replies) -> break od;
		i = 1;
		do
		:: i > CALLS -> break
		:: else -> if :: state[i] != NEW -> state[i] = OVER :: else fi; i++
		od;
		has[0] = 0; has[SECOND] = 0; member[0] = false; member[SECOND] = false; i = 0 }
	:: atomic { !connected -> connected = true; conn++; ids = 0;
#ifndef NO_RANDOM
		rid = conn
#endif
		}
	od
}

#ifdef NO_DEADLINE
#define TIMELY(k) true
#else
#define TIMELY(k) (!passed[k])
#endif

inline give(p, todo) {
	atomic {
		member[p] && has[p] == 0 && nfull(todo) && state[k] == QUEUED && TIMELY(k) ->
		assert(!passed[k]);
		state[k] = GIVEN; given[k] = true; has[p] = k; todo!k
	}
}

#ifdef NO_GONE
#define TOLD false
#else
#define TOLD true
#endif

inline lose(p) {
	atomic {
		mishaps > 0 && member[p] && nfull(down) ->
		mishaps--; member[p] = false; k = has[p]; has[p] = 0;
		if
		:: k != 0 && state[k] == GIVEN -> state[k] = QUEUED /* --redispatch */
		:: k != 0 && state[k] == GIVEN && TOLD -> state[k] = OVER; answer(GONE, k, k)
		:: k != 0 && state[k] == GIVEN && !TOLD -> state[k] = OVER
		:: k == 0 || state[k] != GIVEN
		fi;
		k = 0
	}
}

/* The steps that the broker takes with request k, whenever it may. */
proctype Request(byte k) {
end:	do
	:: give(0, work0)
#ifndef ALONE
	:: give(1, work1)
#endif
	:: atomic { ttls > 0 && state[k] == QUEUED && !passed[k] -> ttls--; passed[k] = true }
	:: atomic { state[k] == QUEUED && passed[k] && nfull(down) -> state[k] = OVER;
		if
		:: given[k] -> answer(GONE, k, k)
		:: else -> answer(REFUSED, k, k)
		fi }
	:: atomic { (state[k] == QUEUED || state[k] == GIVEN) && ENDED(over[k]) -> state[k] = OVER }
	od
}

#ifdef NO_GIVEN
#define HAD(k) false
#else
#define HAD(k) given[k]
#endif

proctype Broker() {
	mtype command;
	byte r, c, id, k, w;
end:	do
	:: atomic { nfull(down) && up?[REQUEST, _, _, _, _] -> up?command, r, c, id, k;
		state[k] = QUEUED; from[k] = r; over[k] = c; as[k] = id;
		r = 0; c = 0; id = 0; k = 0; command = 0 }
	:: atomic { nfull(down) && up?[CANCEL, _, _, _, _] -> up?command, r, c, id, _;
		k = 1;
		do
		:: k > CALLS -> break
		:: k <= CALLS && over[k] == c && as[k] == id && (state[k] == QUEUED || state[k] == GIVEN) -> break
		:: else -> k++
		od;
		if
		:: k > CALLS
		:: k <= CALLS && state[k] == QUEUED ->
#ifndef NO_REMOVE
			state[k] = OVER;
#endif
			if
			:: HAD(k) -> answer(GONE, k, k)
			:: else -> answer(REFUSED, k, k)
			fi
		:: k <= CALLS && state[k] == GIVEN ->
#ifndef NO_DROP
			state[k] = OVER;
#endif
#ifdef NO_LOOK
			answer(REFUSED, k, k)
#else
			answer(GONE, k, k)
#endif
		fi;
		r = 0; c = 0; id = 0; k = 0; command = 0 }
	:: atomic { nfull(down) && replies?[_, _] -> replies?w, k;
		if
#ifdef NO_TOKEN
		:: has[w] != 0 ->
			c = has[w];
#else
		:: has[w] == k ->
			c = k;
#endif
			has[w] = 0;
			if
			:: state[c] == GIVEN -> state[c] = OVER; answer(FINAL, c, k)
			:: else
			fi
		:: else
		fi;
		w = 0; k = 0; c = 0 }
	:: lose(0)
#ifndef ALONE
	:: lose(1)
	:: atomic { !member[1] -> member[1] = true }
#endif
	:: atomic { !member[0] -> member[0] = true }
	od
}

proctype Worker(byte w; chan work) {
	byte k;
end:	do
	:: atomic { work?k -> assert(!refused[k]); ran[k] = true };
		replies!w, k;
		if
		:: atomic { mishaps > 0 -> mishaps--; replies!w, k }
		:: skip
		fi;
		k = 0
	od
}

/* When nothing moves any more. */
proctype Rest() {
	byte k;
end:	atomic {
		timeout ->
		k = 1;
		do
		:: k > CALLS -> break
		:: else -> assert(sent[k] == 0 || answers[k] == 1 || ENDED(sent[k])); k++
		od
	}
}

init {
	atomic {
		run Broker();
		run Request(1); run Request(2);
		run Worker(0, work0);
#ifndef ALONE
		run Worker(1, work1);
#endif
		run Reader(); run Line(); run Rest();
		if
		:: run Caller(1, 2)
		:: run Caller(1, 1); run Caller(2, 1)
		fi
	}
}
