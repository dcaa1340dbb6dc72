/*
 * The lease protocol of internal/mdp/client, for spin: how connections are
 * leased, used and given back, with a broker that repeats replies, sends them
 * late or to the wrong peer, dies, and comes back to workers that still hold
 * what its former life gave them.
 *
 * Claims:  a reply is only ever delivered to the call that asked;
 *          a call that was told "not executed" is never executed.
 *
 * Each caller makes calls one after the other over a pool of connections, of one
 * of two services. A message is (routing id, service, call). The last is a ghost:
 * real messages have none, so nothing here decides by it; it only lets the claim
 * be checked.
 *
 * The pool opens connections ahead of the calls that will have them. Its queue is not
 * modelled beyond that: a call that waits has sent nothing, and is given its connection
 * under the pool's mutex, so to the claims it is a call that has not begun.
 *
 * With no definition all rules hold and every call has a connection of its own
 * (reuse: false). Each definition removes a rule:
 *
 *   NO_SINGLE     a connection carries a second call while one is in flight
 *   NO_CLOSE      a connection is used again after a timeout
 *   NO_RANDOM     routing ids are the broker's, and begin again when it does
 *   NO_SERVICE    the service that a reply names is not looked at
 *   NO_IMMEDIATE  what could not be sent is kept, and sent when it can be
 *   REUSE         connections carry several calls, one after the other
 *
 * LATE hands the connection of a call whose time has passed over to a job, which waits on until the reply comes, its
 * own time passes or the connection is needed (--late-replies). A job is to its call what the call was: the claim is
 * the same. These remove its rules:
 *
 *   NO_LATE_LEASE the connection counts as one that rests while the job waits on it
 *   NO_LATE_CLOSE the connection is used again after the job has given it up
 *
 * With REUSE a repeated reply that comes late cannot be told from the next one;
 * that is the limit which reuse: false is for. TIMELY is a broker whose
 * repetitions are there before a connection is used again: then REUSE is safe,
 * unless NO_EMPTY drops the look for a message that waits in it.
 */

#define CALLS   3                  /* numbered from 1: two of one caller, one of another */
#define CONNS   2                  /* places in the pool */
#define ROOM    3                  /* messages in any channel */

bool up = true;                    /* the broker lives */
byte restarts = 1, repeats = 1, errors = 1, spares = 1; /* how often each may yet happen */
byte ids;                          /* the last routing id given */

byte id[CONNS];                    /* of each connection; 0: there is none */
byte users[CONNS];                 /* calls that have leased it */
byte asked[CONNS];                 /* the service of the call on it */
bool lost[CONNS];                  /* its broker died */
byte late[CONNS];                  /* the call whose job waits on it; 0: none */
chan inbox0 = [ROOM] of { byte, byte };
chan inbox1 = [ROOM] of { byte, byte };

chan net  = [ROOM] of { byte, byte, byte };  /* to the broker */
chan work = [ROOM] of { byte, byte, byte };  /* what workers hold */
chan kept = [ROOM] of { byte, byte, byte };  /* in sockets that could not send */

bool refused[CALLS + 1];           /* told that it was not executed */

#define EMPTY(c)  (((c) == 0 && len(inbox0) == 0) || ((c) == 1 && len(inbox1) == 0))

inline put(c, s, k) {
	if
	:: c == 0 && len(inbox0) < ROOM -> inbox0!s, k
	:: c == 1 && len(inbox1) < ROOM -> inbox1!s, k
	:: (c == 0 && len(inbox0) == ROOM) || (c == 1 && len(inbox1) == ROOM)
	fi
}

inline shut(c) {
	id[c] = 0; lost[c] = false;
	do
	:: c == 0 && len(inbox0) > 0 -> inbox0?_, _
	:: c == 1 && len(inbox1) > 0 -> inbox1?_, _
	:: EMPTY(c) -> break
	od
}

/* A reply goes to whoever has the routing id now. */
inline deliver(i, s, k) {
	if
	:: id[0] == i && !lost[0] -> put(0, s, k)
	:: !(id[0] == i && !lost[0]) && id[1] == i && !lost[1] -> put(1, s, k)
	:: else
	fi
}

inline open(c) {
	ids++; id[c] = ids; lost[c] = false
}

/* May a connection that rests be used for another call? */
#ifdef NO_EMPTY
#define FIT(c) (id[c] != 0 && users[c] == 0 && !lost[c])
#else
#define FIT(c) (id[c] != 0 && users[c] == 0 && !lost[c] && EMPTY(c))
#endif
#define RESTS(c)  (id[c] != 0 && users[c] == 0)
#define VACANT(c) (id[c] == 0)

inline settle(c, keep) {
	users[c]--;
	if
	:: users[c] == 0 && !(keep) -> shut(c)
	:: else
	fi
}

#ifdef REUSE
#define KEEP true
#else
#define KEEP false
#endif
#ifdef NO_CLOSE
#define KEEP_AFTER_TIMEOUT true
#else
#define KEEP_AFTER_TIMEOUT false
#endif

#ifdef NO_LATE_LEASE
#define HELD_LATE 0
#else
#define HELD_LATE 1
#endif
#ifdef NO_LATE_CLOSE
#define KEEP_AFTER_LATE true
#else
#define KEEP_AFTER_LATE false
#endif

/* A job ends: the connection is no longer its own. */
inline part(c, keep) {
	late[c] = 0;
	if
	:: HELD_LATE == 1 -> settle(c, keep)
	:: HELD_LATE == 0 && users[c] == 0 && !(keep) -> shut(c)
	:: else
	fi
}

proctype Caller(byte first, calls) {
	byte call = first, c, s, k, service;
	do
	:: call == first + calls -> break
	:: else ->
		if :: service = 1 :: service = 2 fi;
		atomic { /* lease and send */
			if
			:: FIT(0) && up -> c = 0
			:: FIT(1) && up -> c = 1
			:: RESTS(0) && !FIT(0) && up -> shut(0); open(0); c = 0
			:: RESTS(1) && !FIT(1) && up -> shut(1); open(1); c = 1
			:: VACANT(0) && up -> open(0); c = 0
			:: VACANT(1) && up -> open(1); c = 1
#ifdef NO_SINGLE
			:: users[0] == 1 && !lost[0] && up -> c = 0
#endif
			:: !up ->
				refused[call] = true;
#ifdef NO_IMMEDIATE
				ids++;
				kept!ids, service, call;
#endif
				goto next
			fi;
			users[c]++; asked[c] = service;
			net!id[c], service, call
		}
		atomic { /* wait */
			if
			:: c == 0 && len(inbox0) > 0 -> inbox0?s, k
			:: c == 1 && len(inbox1) > 0 -> inbox1?s, k
			:: lost[c] && EMPTY(c) -> settle(c, false); goto next /* broker_lost */
			:: settle(c, KEEP_AFTER_TIMEOUT); goto next          /* timeout */
#ifdef LATE
			:: !lost[c] && late[c] == 0 ->                       /* timeout: a job waits on */
				late[c] = call; users[c] = users[c] - 1 + HELD_LATE; goto next
#endif
			fi;
#ifndef NO_SERVICE
			if
			:: s != service -> settle(c, false); goto next       /* bad_reply */
			:: else
			fi;
#endif
			assert(k == call); /* the claim */
			settle(c, KEEP)
		}
next:		atomic { call++; c = 0; s = 0; k = 0 }
	od
}

#ifdef LATE
/* Jobs that wait for late replies. */
proctype Late() {
	byte c, s, k;
end:	do
	:: atomic {
		if :: late[0] != 0 -> c = 0 :: late[1] != 0 -> c = 1 fi;
		if
		:: c == 0 && len(inbox0) > 0 -> inbox0?s, k
		:: c == 1 && len(inbox1) > 0 -> inbox1?s, k
		:: lost[c] && EMPTY(c) -> part(c, false); goto over
		:: !lost[c] -> part(c, KEEP_AFTER_LATE); goto over /* its time is up, or a call waits for a connection */
		fi;
		if
		:: s != asked[c] -> part(c, false)
		:: else -> assert(k == late[c]); part(c, KEEP)     /* the claim */
		fi;
over:		c = 0; s = 0; k = 0 }
	od
}
#endif

/* Opens a connection that no call has yet. */
proctype Opener() {
end:	do
	:: atomic { up && spares > 0 && VACANT(0) -> spares--; open(0) }
	:: atomic { up && spares > 0 && VACANT(1) -> spares--; open(1) }
	od
}

/* The broker and its workers, who outlive it. */
proctype Broker() {
	byte i, s, k;
end:	do
	:: atomic { up && len(net) > 0 && len(work) < ROOM -> net?i, s, k;
		assert(!refused[k]); /* the other claim */
		work!i, s, k; i = 0; s = 0; k = 0 }
	:: atomic { up && len(kept) > 0 && len(net) < ROOM -> kept?i, s, k; net!i, s, k; i = 0; s = 0; k = 0 }
	:: atomic { len(work) > 1 -> work?i, s, k; work!i, s, k; i = 0; s = 0; k = 0 } /* workers overtake each other */
	:: atomic { up && len(work) > 0 -> work?i, s, k; deliver(i, s, k); i = 0; s = 0; k = 0 }
	:: atomic { up && repeats > 0 && len(work) > 0 ->
		repeats--; work?i, s, k; deliver(i, s, k);
#ifdef TIMELY
		deliver(i, s, k);
#else
		work!i, s, k; /* once more, later */
#endif
		i = 0; s = 0; k = 0 }
	:: atomic { up && errors > 0 && len(work) > 0 -> /* to a peer that asked another service */
		work?i, s, k;
		if
		:: id[0] != 0 && users[0] > 0 && asked[0] != s && !lost[0] -> errors--; put(0, s, k)
		:: id[1] != 0 && users[1] > 0 && asked[1] != s && !lost[1] -> errors--; put(1, s, k)
		:: else -> work!i, s, k
		fi;
		i = 0; s = 0; k = 0 }
	:: atomic { up && restarts > 0 -> /* kill -9 */
		restarts--; up = false;
		do :: len(net) > 0 -> net?_, _, _ :: len(net) == 0 -> break od;
		lost[0] = id[0] != 0; lost[1] = id[1] != 0;
#ifdef NO_RANDOM
		ids = 0
#endif
	}
	:: up == false -> up = true
	od
}

init {
	atomic {
		run Broker();
		run Opener();
#ifdef LATE
		run Late();
#endif
		run Caller(1, 2);
		run Caller(3, 1)
	}
}
