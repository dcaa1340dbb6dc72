package zsock

import (
	"crypto/rand"
	"errors"
	"time"

	zmq "github.com/pebbe/zmq4"

	"mdpgateway/internal/curve"
)

// DealerOptions configures a DEALER.
type DealerOptions struct {
	// RoutingID names the socket to its ROUTER; empty means a random one, which
	// no peer that ever was can have had.
	RoutingID []byte
	// MaxMessage bounds a received message, in bytes; 0 means no limit. A frame
	// over it drops the connection, a sum over it is ErrTooLarge.
	MaxMessage int64
	// Linger is how long the context's Close waits for what was sent to leave;
	// 0 means that Close drops it.
	Linger time.Duration
	// Curve encrypts and says who it is; nil means a ROUTER without CURVE.
	Curve *curve.Client
}

// Dealer returns a DEALER for one connection, which never reconnects: once lost,
// Receive returns ErrLost. It holds nothing for a peer that is not there, so a
// request that was given up is not sent later.
func (c *Context) Dealer(o DealerOptions) (*Socket, error) { return c.dealer(o) }

func (c *Context) dealer(o DealerOptions, more ...func(*zmq.Socket) error) (*Socket, error) {
	id := o.RoutingID
	if len(id) == 0 {
		id = RandomRoutingID()
	}
	configure := []func(*zmq.Socket) error{linger(o.Linger), noReconnect, immediate, ipv6, keepalive, identity(id), maxMessage(o.MaxMessage), curveClient(o.Curve)}
	s, err := c.socket(zmq.DEALER, append(configure, more...)...)
	if err != nil {
		return nil, err
	}
	s.detect, s.limit = true, o.MaxMessage
	return s, nil
}

// routingIDLength is 16 of 94 characters: 105 bits.
const routingIDLength = 16

// RandomRoutingID returns 16 random printable characters of ASCII. Peers in many languages
// take ids for text: they cut them at a NUL, or replace what is not UTF-8. Some tell ids
// apart by their first bytes alone, so each byte is one of all 94 characters. An id that
// ROUTER assigns begins with NUL and is given again after a restart of the broker, so that
// a late reply would reach whoever reconnects first.
func RandomRoutingID() []byte {
	id := make([]byte, 0, routingIDLength)
	var random [2 * routingIDLength]byte
	for {
		rand.Read(random[:])
		for _, b := range random {
			if b >= 2*94 {
				continue // it would make the first characters more frequent
			}
			if id = append(id, '!'+b%94); len(id) == routingIDLength {
				return id
			}
		}
	}
}

// RouterOptions configures a ROUTER.
type RouterOptions struct {
	// MaxMessage bounds a received frame, in bytes; 0 means no limit.
	MaxMessage int64
	// Queue bounds the messages queued for, and from, one peer; 0 means 1,000.
	Queue int
	// Linger is how long the context's Close waits for what was sent to leave;
	// 0 means that Close drops it.
	Linger time.Duration
	// Lend leaves the bytes of frames of mdp.LentFrom or more where libzmq has them: they are valid until the next message
	// is received, or the socket is closed. Until then Send sends them on without copying them.
	Lend bool
	// Curve encrypts, with this secret; nil means that it does not. There must be an
	// Authenticator before the ROUTER is bound: without one libzmq lets in every key.
	Curve *curve.Secret
}

// Router returns a ROUTER that says when it cannot send: ErrUnreachable for a
// peer that is gone, ErrAgain for one that does not read. It has a Connection.
func (c *Context) Router(o RouterOptions) (*Socket, error) {
	s, err := c.socket(zmq.ROUTER, linger(o.Linger), keepalive, maxMessage(o.MaxMessage), refuseOldPeers, handshake, curveServer(o.Curve),
		func(s *zmq.Socket) error { return s.SetRouterMandatory(1) },
		func(s *zmq.Socket) error {
			if o.Queue == 0 {
				return nil
			}
			if err := s.SetSndhwm(o.Queue); err != nil {
				return err
			}
			return s.SetRcvhwm(o.Queue)
		})
	if err != nil {
		return nil, err
	}
	s.messages.lends = o.Lend
	s.messages.in.wants_source = true
	s.messages.in.wants_user = o.Curve != nil
	return s, nil
}

// refuseOldPeers makes a ROUTER refuse ZMTP/1.0 and ZMTP/2.0, the peers of ZeroMQ 2 and
// 3. ZMTP/1.0 has no greeting: libzmq takes any bytes for it, among them the HTTP request
// of a web page. libzmq refuses both where a ZAP domain is set; without a ZAP handler
// ZMTP/3 peers connect as before.
func refuseOldPeers(s *zmq.Socket) error { return s.SetZapDomain("mdp") }

// handshake bounds how long a peer may take for ZMTP's handshake, which needs three round
// trips. With libzmq's 30 s whoever connects and says nothing would hold a descriptor for
// so long.
func handshake(s *zmq.Socket) error { return s.SetHandshakeIvl(5 * time.Second) }

// unbounded lets any number of messages wait in a socket: one that can't be written has lost
// its connection then, and is not only slow. Whoever sends bounds how many there are.
func unbounded(s *zmq.Socket) error { return errors.Join(s.SetSndhwm(0), s.SetRcvhwm(0)) }

func noLinger(s *zmq.Socket) error    { return s.SetLinger(0) }
func noReconnect(s *zmq.Socket) error { return s.SetReconnectIvl(-1 * time.Millisecond) }
func immediate(s *zmq.Socket) error   { return s.SetImmediate(true) }
func ipv6(s *zmq.Socket) error        { return s.SetIpv6(true) } // allows it, IPv4 stays

func linger(d time.Duration) func(*zmq.Socket) error {
	return func(s *zmq.Socket) error { return s.SetLinger(d) }
}

func identity(id []byte) func(*zmq.Socket) error {
	return func(s *zmq.Socket) error { return s.SetIdentity(string(id)) }
}

func maxMessage(bytes int64) func(*zmq.Socket) error {
	return func(s *zmq.Socket) error {
		if bytes == 0 {
			return nil
		}
		return s.SetMaxmsgsize(bytes)
	}
}

// keepalive makes the kernel see a link that goes dark in 3.6 to 4.5 s, and also a peer
// that reads nothing of what it is sent for that long (TCP_USER_TIMEOUT, which libzmq
// calls ZMQ_TCP_MAXRT), although its kernel acknowledges probes. ZMTP heartbeats would
// end healthy connections whose frame takes longer than their timeout to arrive.
func keepalive(s *zmq.Socket) error {
	for _, set := range []func() error{
		func() error { return s.SetTcpKeepalive(1) },
		func() error { return s.SetTcpKeepaliveIdle(1) },
		func() error { return s.SetTcpKeepaliveIntvl(1) },
		func() error { return s.SetTcpKeepaliveCnt(3) },
		func() error { return s.SetTcpMaxrt(4 * time.Second) },
	} {
		if err := set(); err != nil {
			return err
		}
	}
	return nil
}
