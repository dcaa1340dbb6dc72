/*
 * Adoption of jobs, for spin: a gateway that runs a job is gone, or cannot reach the store for a while, and another one
 * takes the job's routing id over to wait for the reply (internal/jobs, internal/jobs/jetstream, internal/mdp/client).
 *
 * Claims:  what is stored as the job's reply is its own, and whole;
 *          a reply that came to a gateway which lives until it can store it is stored;
 *          one gateway at a time has adopted a job.
 *
 * Gateway 1 runs the job, and makes another call of the same service. Gateways 2 and 3 may adopt. A message is (routing
 * id, request). The request is a ghost: real messages have none, so nothing decides by it; it only lets the claim be
 * checked. The broker is a ROUTER: of two connections with one routing id, it knows the first, and drops what it has
 * for an id without a connection.
 *
 * With no definition all rules hold. Each definition removes one:
 *
 *   NO_OWN     another call uses the job's connection before the job's end is stored
 *   NO_WHOLE   jobs whose replies have several messages are adopted, too
 *   NO_CAS     a job is adopted although its record has changed since it was read
 *   NO_FORMER  a gateway whose job was adopted may not store the reply that came to it
 *   NO_SOFT    an adopter to whom no reply comes ends the job for good, and not as interrupted
 */

#define GATEWAYS 3
#define JOB      1
#define OTHER    2                 /* the other call's request */
#ifdef NO_WHOLE
#define MESSAGES 2
#else
#define MESSAGES 1
#endif

mtype = { queued, running, done, interrupted, failed };

/* The record of the job. Routing ids: 1 is the job's, 2 the other call's. */
mtype state = queued;
byte by;                           /* the gateway that runs it */
byte revision;
bool had[GATEWAYS + 1];            /* gateways that ran it before */

bool dead[GATEWAYS + 1];
bool cut[GATEWAYS + 1];            /* it cannot reach the store now */
byte deaths = 2, cuts = 1;         /* how often each may yet happen */

byte peer[3];                      /* the gateway whose connection the broker knows by that id; 0: none */
bool open[GATEWAYS + 1];           /* it has a connection with the job's id, known or not */
chan net = [2] of { byte, byte };  /* requests to the broker */
byte todo[3];                      /* messages that the worker has yet to send, by request */
byte via[3];                       /* the id that a request came from */

byte got[GATEWAYS + 1];            /* messages of a reply on the job's id */
byte whose[GATEWAYS + 1];          /* the request that the last of them answers */
bool last[GATEWAYS + 1];           /* the reply is complete, as the gateway sees it */
bool adopted[GATEWAYS + 1];        /* it waits as an adopter */

#define UP(g)      (!dead[g] && !cut[g])
#define MISSING(g) (dead[g] || cut[g])

inline connect(g, id) {
	open[g] = true;
	if
	:: peer[id] == 0 -> peer[id] = g
	:: else                    /* the broker ignores it */
	fi
}

inline disconnect(g, id) {
	open[g] = false;
	if
	:: peer[id] == g -> peer[id] = 0
	:: else
	fi
}

/* A gateway that has the reply stores it. */
inline finish(g) {
	if
#ifdef NO_FORMER
	:: by == g && (state == running || state == interrupted) ->
#else
	:: (by == g || had[g]) && (state == running || state == interrupted) ->
#endif
		assert(whose[g] == JOB);           /* the claim: its own */
		assert(got[g] == MESSAGES);        /* and whole */
		state = done; revision++
	:: else -> assert(state == done)           /* the claim: stored */
	fi;
	last[g] = false; adopted[g] = false
}

/* The gateway that runs the job. */
proctype Owner() {
	bool sent;
	atomic { state = running; by = 1; revision++; connect(1, 1) }
	do
	:: atomic { !dead[1] && !sent -> sent = true; net!1, JOB }
	:: atomic { UP(1) && last[1] -> finish(1); disconnect(1, 1); break }
#ifdef NO_OWN
	:: atomic { !dead[1] && last[1] && todo[OTHER] == 0 && via[OTHER] == 0 -> via[OTHER] = 1; net!1, OTHER }
#endif
	:: dead[1] -> break
	od
}

proctype Adopter(byte g) {
	byte read, owner;
	do
	:: atomic { UP(g) && state == running && by != g -> read = revision; owner = by }
		if
#ifdef NO_CAS
		:: atomic { UP(g) && state == running && MISSING(owner) ->
#else
		:: atomic { UP(g) && state == running && revision == read && MISSING(owner) ->
#endif
			assert(!(adopted[2] && !MISSING(2)) && !(adopted[3] && !MISSING(3))); /* the claim: one at a time */
			had[by] = true; by = g; revision++; adopted[g] = true; connect(g, 1) }
			if
			:: atomic { UP(g) && last[g] -> finish(g); disconnect(g, 1) }
			:: atomic { UP(g) && !last[g] -> /* its time is up, or the job is over */
				adopted[g] = false; disconnect(g, 1); got[g] = 0;
				if
				:: state == running && by == g ->
#ifdef NO_SOFT
					state = failed;
#else
					state = interrupted;
#endif
					revision++
				:: else
				fi }
			:: dead[g] -> break
			fi
		:: !UP(g) || state != running || revision != read || !MISSING(owner) -> skip
		fi
	:: dead[g] -> break
	:: state != queued && state != running -> break
	od
}

proctype Broker() {
	byte id, k;
end:	do
	:: atomic { nempty(net) -> net?id, k; via[k] = id; todo[k] = MESSAGES; id = 0; k = 0 }
	:: atomic { todo[JOB] > 0 -> k = JOB; todo[k]--; goto reply }
	:: atomic { todo[OTHER] > 0 -> k = OTHER; todo[k]--; goto reply }
	:: atomic { dead[1] && peer[1] == 1 -> peer[1] = 0 } /* it sees that a connection has ended */
	:: atomic { dead[2] && peer[1] == 2 -> peer[1] = 0 }
	:: atomic { dead[3] && peer[1] == 3 -> peer[1] = 0 }
	od;
reply:	atomic {
		id = peer[via[k]];
		if
		:: id == 0 || dead[id] || !open[id] /* dropped */
		:: id == 1 && k == OTHER            /* the other call has its reply */
		:: else /* who waits on the job's id takes it for the job's */ ->
			got[id]++; whose[id] = k; last[id] = (todo[k] == 0)
		fi;
		id = 0; k = 0
	}
	goto end
}

/* Gateways die, and cannot reach the store for a while. */
proctype Trouble() {
end:	do
	:: atomic { deaths > 0 && !dead[1] -> deaths--; dead[1] = true; got[1] = 0; last[1] = false }
	:: atomic { deaths > 0 && !dead[2] -> deaths--; dead[2] = true; got[2] = 0; last[2] = false }
	:: atomic { cuts > 0 && !cut[1] && !dead[1] -> cuts--; cut[1] = true }
	:: atomic { cuts > 0 && !cut[2] && !dead[2] -> cuts--; cut[2] = true }
	:: atomic { cut[1] -> cut[1] = false }
	:: atomic { cut[2] -> cut[2] = false }
	od
}

init {
	atomic { run Broker(); run Trouble(); run Owner(); run Adopter(2); run Adopter(3) }
}
