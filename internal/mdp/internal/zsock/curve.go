package zsock

import (
	"errors"
	"fmt"

	zmq "github.com/pebbe/zmq4"

	"mdpgateway/internal/curve"
)

// UseTwoThreads gives the context's sockets two I/O threads. CURVE encrypts and decrypts there, at some 500 MB/s:
// with one, a large body would hold up every small one. It must be called before the first socket is opened.
func (c *Context) UseTwoThreads() error { return translate(c.zctx.SetIoThreads(2)) }

// User returns the key, in Z85, by which the message came that a ROUTER with CURVE received last. It is valid until
// the next one.
func (s *Socket) User() []byte { return s.messages.user() }

func curveClient(c *curve.Client) func(*zmq.Socket) error {
	return func(s *zmq.Socket) error {
		if c == nil {
			return nil
		}
		return errors.Join(s.SetCurveServerkey(c.Server.String()),
			s.SetCurvePublickey(c.Own.Public.String()), s.SetCurveSecretkey(c.Own.Secret.Reveal()))
	}
}

func curveServer(secret *curve.Secret) func(*zmq.Socket) error {
	return func(s *zmq.Socket) error {
		if secret == nil {
			return nil
		}
		return errors.Join(s.SetCurveServer(1), s.SetCurveSecretkey(secret.Reveal()))
	}
}

// An Authenticator answers libzmq's question, for every handshake of the context's CURVE servers, whether a key is let
// in (ZAP, RFC 27). Those let in have their key as User-Id.
type Authenticator struct {
	socket *Socket
	done   chan struct{} // closed when run has ended, and err is set
	err    error         // why, if not by Close
}

// Authenticate starts an Authenticator. accept is called by its goroutine, with the address of who asks.
func (c *Context) Authenticate(accept func(key curve.Key, address string) bool) (*Authenticator, error) {
	socket, err := c.socket(zmq.REP, noLinger)
	if err != nil {
		return nil, err
	}
	if _, err := socket.Bind("inproc://zeromq.zap.01"); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	a := &Authenticator{socket: socket, done: make(chan struct{})}
	go a.run(accept)
	return a, nil
}

// Done is closed when the Authenticator has ended. Without one, handshakes of the context's CURVE servers are not
// answered.
func (a *Authenticator) Done() <-chan struct{} { return a.done }

// Err returns, once Done is closed, why the Authenticator ended, nil if Close did it.
func (a *Authenticator) Err() error { return a.err }

// Close ends the Authenticator and waits for it.
func (a *Authenticator) Close() error {
	a.socket.Interrupt()
	<-a.done
	return a.socket.Close()
}

// run answers until Close, or until the socket fails.
func (a *Authenticator) run(accept func(key curve.Key, address string) bool) {
	defer close(a.done)
	for {
		err := a.answer(accept)
		if IsInterrupted(err) {
			return
		}
		if err != nil {
			a.err = fmt.Errorf("authenticator: %w", err)
			return
		}
	}
}

// answer answers one request: version, request id, domain, address, routing id, mechanism, key. The answer has the
// first two, a status, its text, the User-Id and no metadata.
func (a *Authenticator) answer(accept func(key curve.Key, address string) bool) error {
	request, err := a.socket.Receive()
	if err != nil {
		return err
	}
	status, user := "400", ""
	if len(request) == 7 && string(request[5]) == "CURVE" && len(request[6]) == curve.Size {
		if key := curve.Key(request[6]); accept(key, string(request[3])) {
			status, user = "200", key.String()
		}
	}
	if len(request) < 2 {
		return fmt.Errorf("a request of %d frames", len(request))
	}
	return a.socket.Send([][]byte{request[0], request[1], []byte(status), nil, []byte(user), nil})
}
