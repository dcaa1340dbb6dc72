// Package jobs makes calls that outlive the HTTP connection which asked for them: they wait in a queue, run once, and
// their reply is kept to be read later.
//
// It knows neither HTTP nor a database. A Store keeps jobs, packages below implement it (sqlite) and one suite
// (jobstest) holds what all of them promise. The Runner takes queued jobs, makes their calls through a Caller, and
// stores what came of them. docs/jobs.md says what callers may rely on.
//
// A call is sent at most once. The state of a job in its Store decides: a job is claimed, by one conditional write,
// as the last step before its bytes go out, so of a claim, a cancellation and an expiry only one can win.
package jobs
