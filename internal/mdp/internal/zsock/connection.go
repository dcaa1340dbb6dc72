package zsock

// A Connection is the connection that a message came over. It can be asked later whether
// it has ended.
//
// libzmq tells a message's descriptor, which the kernel gives to another connection once
// this one has ended, so it is kept with the inode, which is never another's. If the connection ended before its
// message was received, both may be another's already, of this process and not only of the ROUTER. The zero
// Connection is unknown, and has not ended.
type Connection struct {
	descriptor int
	inode      uint64 // 0: it had ended before the message was received
	known      bool
}

// Connection returns that of the message that a ROUTER received last.
func (s *Socket) Connection() Connection {
	descriptor := int(s.messages.in.source)
	if descriptor < 0 {
		return Connection{}
	}
	return connectionOf(descriptor)
}

// Ended reports whether the connection has ended. It may be 3 ms late, and is never
// wrong about a connection that is open.
func (c Connection) Ended() bool {
	return c.known && (c.inode == 0 || connectionOf(c.descriptor) != c)
}

// Received returns how many bytes came over the connection, of messages that are not yet whole too. It is 0 if the
// connection has ended, is unknown, or is not of TCP.
func (c Connection) Received() uint64 {
	if c.Ended() || !c.known {
		return 0
	}
	return receivedOver(c.descriptor)
}

// End shuts the connection down, so that libzmq closes it. It does nothing if it has ended, or if
// it is unknown. The caller must know that it was open when its message was received: that of a peer that can be sent to
// was.
func (c Connection) End() {
	if c.known && c.inode != 0 {
		c.shutDown()
	}
}
