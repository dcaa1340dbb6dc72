package mdp

// The first two bytes of a packed frame: zproto's signature of a client's messages.
const packed0, packed1 = 0xAA, 0xA4

// pack returns the one frame that zproto makes of header, command and service. A text is
// preceded by its length, one byte; the command, one byte too, is there twice:
//
//	\xaa \xa4 command len header command len service
func pack(header, command, service []byte) []byte {
	frame := make([]byte, 0, 6+len(header)+len(service))
	frame = append(frame, packed0, packed1, command[0], byte(len(header)))
	frame = append(append(frame, header...), command[0], byte(len(service)))
	return append(frame, service...)
}

// unpack returns a message with the frames that were packed into its first one.
func unpack(frames [][]byte) ([][]byte, error) {
	if len(frames) == 0 || len(frames[0]) < 4 || frames[0][0] != packed0 || frames[0][1] != packed1 {
		return nil, unfit(ReasonHeader, "a message without packed header")
	}
	command := frames[0][2:3]
	header, rest, ok := text(frames[0][3:])
	if !ok || len(rest) == 0 || rest[0] != command[0] {
		return nil, malformed("a packed header %x", head(frames[0]))
	}
	service, rest, ok := text(rest[1:])
	if !ok || len(rest) > 0 {
		return nil, malformed("a packed header %x", head(frames[0]))
	}
	return append([][]byte{header, command, service}, frames[1:]...), nil
}

// text cuts off a text that its length precedes.
func text(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n], b[n:], true
}
