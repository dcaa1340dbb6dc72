package jetstream

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"mdpgateway/internal/jobs"
)

// errConflict ends a write whose subject was changed by another.
var errConflict = errors.New("it was changed meanwhile")

// put writes a message if the last of its subject is the one of that sequence, 0 for none. The message is told by a
// header from all others, so that after a lost answer it is known whether it was this one that was written.
// The error is errConflict, ErrFull, ErrUnconfirmed, or says that nothing was written.
func (s *Store) put(ctx context.Context, m *nats.Msg, last uint64, ttl time.Duration) (uint64, error) {
	name := rand.Text()
	m.Header.Set(writeHeader, name)
	unknown := false
	for {
		ack, err := s.publish(ctx, m, ttl, jetstream.WithExpectLastSequencePerSubject(last))
		switch {
		case err == nil:
			return ack.Sequence, nil
		case isConflict(err):
			found, seq, err := s.written(ctx, m.Subject, name)
			switch {
			case err == nil && found:
				return seq, nil
			case err == nil && seq != last:
				return 0, errConflict
			} // else a write is on its way: this one, or another that may still fail
		case isFull(err) && !unknown:
			return 0, fmt.Errorf("%w: %w", jobs.ErrFull, err)
		case !isUnsent(err):
			unknown = true
		}
		if err := s.pause(ctx, err); err != nil {
			if unknown {
				err = fmt.Errorf("%w: %w", jobs.ErrUnconfirmed, err)
			}
			return 0, err
		}
	}
}

// publish makes one attempt to write.
func (s *Store) publish(ctx context.Context, m *nats.Msg, ttl time.Duration, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if ttl > 0 {
		options = append(options, jetstream.WithMsgTTL(max(ttl, time.Second).Round(time.Second)))
	}
	ack, err := s.js.PublishMsg(ctx, m, append(options, jetstream.WithRetryAttempts(0))...)
	switch {
	case err == nil, errors.As(err, new(*jetstream.APIError)):
		s.mute.Store(false)
	case !isUnsent(err) && !errors.Is(err, context.Canceled):
		s.mute.Store(true)
	}
	return ack, err
}

// answers waits, after a write was left without an answer, until another one has one. A server whose disk is full
// answers to none (nats-server 2.15), so that without this it would be unknown of every submission whether it was stored.
func (s *Store) answers(ctx context.Context) error {
	for s.mute.Load() {
		if err := s.probe(ctx); err != nil {
			if err := s.pause(ctx, err); err != nil {
				return fmt.Errorf("a write before was left without an answer (is a server's disk full?): %w", err)
			}
		}
	}
	return nil
}

// probe writes what nobody reads.
func (s *Store) probe(ctx context.Context) error {
	_, err := s.publish(ctx, &nats.Msg{Subject: s.subject("k", "probe"), Header: nats.Header{}}, time.Second)
	return err
}

// pause waits before the next attempt, or returns why there is none: ctx ends, or the servers can't be reached.
func (s *Store) pause(ctx context.Context, cause error) error {
	if !s.nc.IsConnected() {
		return errors.Join(cause, nats.ErrDisconnected)
	}
	select {
	case <-ctx.Done():
		return errors.Join(cause, ctx.Err())
	case <-time.After(retryWait):
		return nil
	}
}

// written reports whether the last message of a subject is the one of that name, and its sequence; 0 if there is none.
func (s *Store) written(ctx context.Context, subject, name string) (bool, uint64, error) {
	m, err := s.last(ctx, subject)
	if errors.Is(err, jobs.ErrNotFound) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	return m.Header.Get(writeHeader) == name, m.Sequence, nil
}

// last reads the last message of a subject at the stream's leader, ErrNotFound if there is none.
func (s *Store) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*attemptTimeout)
	defer cancel()
	for {
		m, err := s.readOnce(ctx, subject)
		switch {
		case err == nil:
			return m, nil
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, jobs.ErrNotFound
		}
		if err := s.pause(ctx, err); err != nil {
			return nil, err
		}
	}
}

func (s *Store) readOnce(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return s.stream.GetLastMsgForSubject(ctx, subject)
}

// putData writes a message in pieces, which the servers drop after that time. When it returns no piece is on its way.
func (s *Store) putData(ctx context.Context, id, name string, frames [][]byte, ttl time.Duration) (err error) {
	start := time.Now()
	defer func() { _ = s.told("stage", start, err) }()
	var all errgroup.Group // without a context: after a failure the others still have to be answered
	all.SetLimit(atOnce)
	var failed atomic.Bool
	n := 0
	for chunk := range jobs.Chunks(frames, jobs.ChunkSize) {
		if failed.Load() {
			break
		}
		m := &nats.Msg{Subject: s.subject("d", id, name, strconv.Itoa(n)), Data: bytes.Clone(chunk), Header: nats.Header{}}
		n++
		all.Go(func() error {
			err := s.putPiece(ctx, m, ttl)
			if err != nil {
				failed.Store(true)
			}
			return err
		})
	}
	return all.Wait()
}

func (s *Store) putPiece(ctx context.Context, m *nats.Msg, ttl time.Duration) error {
	for {
		_, err := s.publish(ctx, m, ttl)
		if err == nil {
			return nil
		}
		if isFull(err) {
			return fmt.Errorf("%w: %w", jobs.ErrFull, err)
		}
		if err := s.pause(ctx, err); err != nil {
			return err
		}
	}
}

// data reads a message that putData wrote, ErrNotFound if there is none.
func (s *Store) data(ctx context.Context, id, name string) ([]byte, error) {
	var whole []byte
	for n, some := 0, 1; ; n, some = n+some, min(2*some, atOnce) {
		pieces := make([][]byte, some)
		all, ctx := errgroup.WithContext(ctx)
		for i := range pieces {
			all.Go(func() error {
				m, err := s.last(ctx, s.subject("d", id, name, strconv.Itoa(n+i)))
				if errors.Is(err, jobs.ErrNotFound) && n+i > 0 {
					return nil // it is behind the last
				}
				if err == nil {
					pieces[i] = m.Data
				}
				return err
			})
		}
		if err := all.Wait(); err != nil {
			return nil, err
		}
		for _, piece := range pieces {
			if whole = append(whole, piece...); len(piece) < jobs.ChunkSize {
				return whole, nil
			}
		}
	}
}

// drop removes data of a job: a message of that name, or with "" all. The servers drop what is left behind in time.
func (s *Store) drop(ctx context.Context, id, name string) {
	subject := s.subject("d", id, ">")
	if name != "" {
		subject = s.subject("d", id, name, "*")
	}
	_ = s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
}

// unstage removes a message whose record was not written, unless that is unknown.
func (s *Store) unstage(ctx context.Context, id, name string, cause error) {
	if name == "" || errors.Is(cause, jobs.ErrUnconfirmed) || !s.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	s.drop(ctx, id, name)
}

// message reads frames back.
func message(whole []byte) ([][]byte, error) {
	frames, err := jobs.Frames(whole)
	if err != nil && !errors.Is(err, jobs.ErrNewer) {
		err = fmt.Errorf("%w: %w", jobs.ErrDamaged, err)
	}
	return frames, err
}

// encode writes frames as message reads them.
func encode(frames [][]byte) (whole []byte) {
	for chunk := range jobs.Chunks(frames, jobs.ChunkSize) {
		whole = append(whole, chunk...)
	}
	return whole
}
