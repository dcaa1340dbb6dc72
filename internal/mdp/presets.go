package mdp

// The presets. The first four are those that the embedded broker serves; the others are
// named after the one broker that speaks them. docs/brokers.md has a table. They never
// change.
var (
	// V01 is RFC 7/MDP: one reply per request.
	V01 = &Dialect{
		Name: "mdp/0.1", Header: mdpc01, RequestDelimiter: true, ReplyDelimiter: true, NamesService: true,
		Worker: []byte("MDPW01"), Commands: commands01,
	}
	// V02 is RFC 18/MDP: PARTIAL replies and a FINAL one.
	V02 = &Dialect{
		Name: "mdp/0.2", Header: mdpc02, Request: []byte{1}, Partial: []byte{2}, Final: []byte{3}, NamesService: true,
		Worker: mdpw02, Commands: commands02,
	}
	// Loudify is version 0.1 with headers of its own and a padded reply.
	Loudify = &Dialect{
		Name: "loudify", Header: []byte("C01"), RequestDelimiter: true, ReplyDelimiter: true, NamesService: true, Padded: true,
		NeedsVars: true, Failure: []byte("\x06"), Worker: []byte("W01"), Commands: commands01,
	}
	// Majortomo is 0.2 with a delimiter and other commands; its replies do not name the service.
	Majortomo = &Dialect{
		Name: "majortomo", Header: mdpc02, RequestDelimiter: true, ReplyDelimiter: true,
		Request: []byte{2}, Partial: []byte{3}, Final: []byte{4}, MMI: MMIOff,
		Worker: mdpw02, Commands: commands02,
	}
	// MajordomoGo is 0.1 with a padded reply.
	MajordomoGo = &Dialect{
		Name: "majordomogo", Header: mdpc01, RequestDelimiter: true, ReplyDelimiter: true, NamesService: true, Padded: true,
		MMI: MMIOff,
	}
	// LibMDP02 is libmdp's draft of 0.2: the header of 0.2, the frames of 0.1.
	LibMDP02 = &Dialect{
		Name: "libmdp-0.2", Header: mdpc02, RequestDelimiter: true, ReplyDelimiter: true, NamesService: true,
	}
	// LibMDP0X is libmdp's MDPC0X: a reply has a command, one of them a refusal.
	LibMDP0X = &Dialect{
		Name: "libmdp-0x", Header: []byte("MDPC0X"), RequestDelimiter: true, ReplyDelimiter: true,
		Final: []byte{2}, Error: []byte{3}, NamesService: true,
	}
	// Plantd is 0.2 whose commands are words; requests alone have a delimiter. It denies a
	// service while all its workers are busy.
	Plantd = &Dialect{
		Name: "plantd", Header: mdpc02, RequestDelimiter: true,
		Request: []byte("REQUEST"), Partial: []byte("PARTIAL"), Final: []byte("FINAL"), NamesService: true, MMI: MMIHint,
	}
	// IronDomo is 0.1 with a header of its own. It denies every service.
	IronDomo = &Dialect{
		Name: "irondomo", Header: []byte("IDPC01"), RequestDelimiter: true, ReplyDelimiter: true, NamesService: true, MMI: MMIOff,
	}
	// RustyDomo is 0.2 whose replies do not name the service, but those of mmi.*.
	RustyDomo = &Dialect{
		Name: "rustydomo", Header: mdpc02, Request: []byte{1}, Partial: []byte{2}, Final: []byte{3}, NamesMMI: true,
	}
	// ZMQMDP2 is 0.2 whose commands are digits.
	ZMQMDP2 = &Dialect{
		Name: "zmq-mdp2", Header: mdpc02,
		Request: []byte("1"), Partial: []byte("2"), Final: []byte("3"), NamesService: true, MMI: MMIOff,
	}
	// WDL83 is 0.1 whose replies say success or failure before the body.
	WDL83 = &Dialect{
		Name: "wdl83", Header: mdpc01, RequestDelimiter: true, ReplyDelimiter: true, NamesService: true,
		OK: []byte("success"), Failed: []byte("failure"), MMI: MMIOff,
	}
	// ZProto is 0.2 whose header, command and service are one frame.
	ZProto = &Dialect{
		Name: "zproto", Header: mdpc02, Packed: true,
		Request: []byte{1}, Partial: []byte{2}, Final: []byte{3}, NamesService: true, MMI: MMIOff,
	}
)

// X1 is MDPX/1, which is no dialect of MDP: what the gateway speaks with its own broker. Its
// messages are those of package mdpx, and only the upstream of the gateway speaks it.
var X1 = &Dialect{Name: "mdpx/1", Header: []byte("MDPX01"), Multiplexed: true}

// served are the presets that have workers.
var served = []*Dialect{V01, V02, Loudify, Majortomo}

var presets = []*Dialect{
	V01, V02, Loudify, Majortomo, MajordomoGo, LibMDP02, LibMDP0X, Plantd, IronDomo, RustyDomo, ZMQMDP2, WDL83, ZProto,
}

var (
	mdpc01, mdpc02 = []byte("MDPC01"), []byte("MDPC02")
	mdpw02         = []byte("MDPW02")
	commands01     = []byte{Ready: 1, Work: 2, Partial: 0, Final: 3, Heartbeat: 4, Disconnect: 5}
	commands02     = []byte{Ready: 1, Work: 2, Partial: 3, Final: 4, Heartbeat: 5, Disconnect: 6}
)
