package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func (s *Store) streamName() string { return strings.ToUpper(s.cfg.Prefix) + "_JOBS" }

// wanted returns the settings of the stream. A write that finds no room fails: nothing is dropped for it.
func (s *Store) wanted() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: s.streamName(), Description: "jobs of mdp-gateway", Subjects: []string{s.subject("s", "*"), s.subject("k", "*"), s.subject("d", ">")},
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage, MaxMsgsPerSubject: 1,
		MaxBytes: s.cfg.MaxBytes, Replicas: s.cfg.Replicas, AllowMsgTTL: true, AllowDirect: false,
	}
}

// openStream finds or makes the stream.
func (s *Store) openStream(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	want := s.wanted()
	if s.stream, err = s.js.Stream(ctx, want.Name); errors.Is(err, jetstream.ErrStreamNotFound) {
		if s.stream, err = s.js.CreateStream(ctx, want); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s.stream, err = s.js.Stream(ctx, want.Name) // another replica made it meanwhile
		}
	}
	if err != nil {
		return err
	}
	return differs(s.stream.CachedInfo().Config, want)
}

// A settingsError says that a stream has other settings than wanted.
type settingsError struct{ text string }

func (e settingsError) Error() string { return e.text }

// differs compares what matters of a stream's settings.
func differs(got, want jetstream.StreamConfig) error {
	slices.Sort(got.Subjects)
	slices.Sort(want.Subjects)
	for _, c := range []struct {
		name, setting string
		got, want     any
	}{
		{"subjects", "--jobs-prefix", strings.Join(got.Subjects, " "), strings.Join(want.Subjects, " ")},
		{"num_replicas", "--jobs-replicas", got.Replicas, want.Replicas},
		{"max_bytes", "--jobs-max-bytes", got.MaxBytes, want.MaxBytes},
		{"max_msgs_per_subject", "", got.MaxMsgsPerSubject, want.MaxMsgsPerSubject},
		{"retention", "", got.Retention, want.Retention},
		{"discard", "", got.Discard, want.Discard},
		{"storage", "", got.Storage, want.Storage},
		{"allow_msg_ttl", "", got.AllowMsgTTL, want.AllowMsgTTL},
		{"allow_direct", "", got.AllowDirect, want.AllowDirect},
		{"max_age", "", got.MaxAge, want.MaxAge},
	} {
		if c.got != c.want {
			text := fmt.Sprintf("the stream %s has %s %v, want %v", got.Name, c.name, c.got, c.want)
			if c.setting != "" {
				text += ", as " + c.setting + " says"
			}
			return settingsError{text + "; change one of them"}
		}
	}
	return nil
}

// Codes of JetStream's errors that nats.go has no names for, and those of a write at another sequence.
const (
	codeStoreFailed = 10077 // among others: maximum bytes exceeded
	codeNoStorage   = 10047
	codeNoResources = 10023
)

func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	fault := new(jetstream.APIError)
	return errors.As(err, &fault) && slices.Contains(codes, fault.ErrorCode)
}

// isConflict reports whether a write failed since its subject was at another sequence.
func isConflict(err error) bool {
	return hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// isFull reports whether a write failed since there is no room.
func isFull(err error) bool { return hasCode(err, codeStoreFailed, codeNoStorage, codeNoResources) }

// isUnsent reports whether a write certainly did not reach the stream.
func isUnsent(err error) bool {
	return errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrConnectionClosed) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.As(err, new(*jetstream.APIError))
}
