// Every sleep in this file is in a bubble of testing/synctest: its clock is virtual, and
// moves on when all goroutines of the bubble wait.

package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mdpgateway/internal/dispatch"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
)

func TestAServiceIsKnownForAWhileAfterItsReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		d := newDispatcher(t, p, dispatch.Config{}, "")
		for _, c := range []struct {
			pause   time.Duration
			lookups int
		}{{0, 1}, {0, 1}, {4 * time.Second, 1}, {4 * time.Second, 1}, {6 * time.Second, 2}} {
			time.Sleep(c.pause)
			if _, err := send(t.Context(), d, call("echo", "x")); err != nil {
				t.Fatal(err)
			}
			if got := p.lookups(); got != c.lookups {
				t.Errorf("after another %v: %d look-ups, want %d", c.pause, got, c.lookups)
			}
		}
	})
}

func TestANameThatTheBrokerDeniesIsNotFoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: answers(mdp.StatusNotFound)}
		d := newDispatcher(t, p, dispatch.Config{}, "")
		start := time.Now()
		for range 3 {
			_, err := send(t.Context(), d, call("nobody", "x"))
			failure(t, err, gateway.ServiceNotFound, "")
		}
		if took := time.Since(start); took != 0 || p.calls() != 0 || p.lookups() != 1 {
			t.Errorf("took %v, %d calls, %d look-ups, want at once, none and one", took, p.calls(), p.lookups())
		}
		time.Sleep(1001 * time.Millisecond)
		send(t.Context(), d, call("nobody", "x"))
		if p.lookups() != 2 {
			t.Errorf("a second later: %d look-ups, want 2", p.lookups())
		}
	})
}

func TestAKnownServiceWithoutWorkersIsWaitedForAWhile(t *testing.T) {
	for _, c := range []struct {
		name     string
		services string
		back     time.Duration // when MMI says 200 again
		took     time.Duration
		found    bool
	}{
		{"catalogued, and none come", `{svc: {}}`, time.Hour, 2 * time.Second, false},
		{"catalogued, and one comes", `{svc: {}}`, 500 * time.Millisecond, 600 * time.Millisecond, true},
		{"answered before, and none come", "", time.Hour, 2 * time.Second, false},
		{"answered before, and one comes", "", 500 * time.Millisecond, 600 * time.Millisecond, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := new(pool)
				d := newDispatcher(t, p, dispatch.Config{}, c.services)
				if c.services == "" {
					if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Second)
				start := time.Now()
				p.lookup = func(int, string) (string, error) {
					if time.Since(start) >= c.back {
						return mdp.StatusFound, nil
					}
					return mdp.StatusNotFound, nil
				}
				_, err := send(t.Context(), d, call("svc", "x"))
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if c.found && err != nil {
					t.Errorf("got %v, want a reply", err)
				} else if !c.found {
					failure(t, err, gateway.NoWorkers, "")
				}
			})
		})
	}
}

func TestAServiceThatLastAnsweredLongAgoIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		d := newDispatcher(t, p, dispatch.Config{}, "")
		send(t.Context(), d, call("svc", "x"))
		time.Sleep(11 * time.Minute)
		p.lookup = answers(mdp.StatusNotFound)
		_, err := send(t.Context(), d, call("svc", "x"))
		failure(t, err, gateway.ServiceNotFound, "")
	})
}

func TestTheWaitForWorkersEndsWithTheCallsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher(t, &pool{lookup: answers(mdp.StatusNotFound)}, dispatch.Config{}, `{svc: {timeout: 1s}}`)
		start := time.Now()
		_, err := send(t.Context(), d, call("svc", "x"))
		failure(t, err, gateway.Busy, gateway.ReasonDeadline)
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
	})
}

func noAnswer(int, string) (string, error) {
	time.Sleep(500 * time.Millisecond)
	return "", &gateway.Error{Kind: gateway.Timeout}
}

func TestABrokerThatDoesNotAnswerIsNotAskedForAMinute(t *testing.T) {
	for _, c := range []struct {
		name    string
		mode    dispatch.CatalogueMode
		service string
		kind    gateway.Kind // empty: it is sent
	}{
		{"a catalogued service is sent all the same", dispatch.CatalogueAuto, "svc", ""},
		{"another is not", dispatch.CatalogueAuto, "any", gateway.ServiceNotFound},
		{"unless the catalogue is open", dispatch.CatalogueOpen, "any", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{lookup: noAnswer}
				d := newDispatcher(t, p, dispatch.Config{CatalogueMode: c.mode}, `{svc: {}}`)
				for i := range 3 {
					_, err := send(t.Context(), d, call(c.service, "x"))
					if c.kind == "" && err != nil {
						t.Errorf("call %d: %v, want it sent", i, err)
					} else if c.kind != "" {
						failure(t, err, c.kind, "")
					}
				}
				if p.lookups() != 1 {
					t.Errorf("%d look-ups, want 1", p.lookups())
				}
				time.Sleep(61 * time.Second)
				send(t.Context(), d, call(c.service, "x"))
				if p.lookups() != 2 {
					t.Errorf("a minute later: %d look-ups, want 2", p.lookups())
				}
			})
		})
	}
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		name    string
		mmi     mdp.MMI
		mode    dispatch.CatalogueMode
		dialect *mdp.Dialect
		service string
		lookups int
		kind    gateway.Kind
	}{
		{"on: even a catalogued service is denied", mdp.MMIOn, dispatch.CatalogueAuto, mdp.V01, "svc", 11, gateway.NoWorkers},
		{"hint: a catalogued service is sent", mdp.MMIHint, dispatch.CatalogueAuto, mdp.V01, "svc", 0, ""},
		{"hint: another is asked for", mdp.MMIHint, dispatch.CatalogueAuto, mdp.V01, "any", 1, gateway.ServiceNotFound},
		{"off: a catalogued service is sent", mdp.MMIOff, dispatch.CatalogueAuto, mdp.V01, "svc", 0, ""},
		{"off: another is not", mdp.MMIOff, dispatch.CatalogueAuto, mdp.V01, "any", 0, gateway.ServiceNotFound},
		{"off and open", mdp.MMIOff, dispatch.CatalogueOpen, mdp.V01, "any", 0, ""},
		{"majortomo has no MMI", mdp.MMIOn, dispatch.CatalogueAuto, mdp.Majortomo, "svc", 0, ""},
		{"only: another is not even asked for", mdp.MMIOn, dispatch.CatalogueOnly, mdp.V01, "any", 0, gateway.ServiceNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{lookup: answers(mdp.StatusNotFound)}
				d := newDispatcher(t, p, dispatch.Config{CatalogueMode: c.mode}, `{svc: {}}`, c.dialect.WithMMI(max(c.mmi, c.dialect.MMI)))
				_, err := send(t.Context(), d, call(c.service, "x"))
				if c.kind != "" {
					failure(t, err, c.kind, "")
				} else if err != nil {
					t.Error(err)
				}
				if p.lookups() != c.lookups {
					t.Errorf("%d look-ups, want %d", p.lookups(), c.lookups)
				}
			})
		})
	}
}

func TestAServiceThatAnsweredIsSentToWhateverTheBrokerSaysIfItsWordIsAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		d := newDispatcher(t, p, dispatch.Config{}, "", mdp.V01.WithMMI(mdp.MMIHint))
		for range 3 {
			if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
				t.Fatal(err)
			}
			p.lookup = answers(mdp.StatusNotFound)
			time.Sleep(10 * time.Second) // it is no longer known without asking
		}
		if p.lookups() != 1 || p.calls() != 3 {
			t.Errorf("%d look-ups, %d calls, want the first one's and 3", p.lookups(), p.calls())
		}
	})
}

// What one broker confirmed is no reason to send to another.
func TestAServiceIsAskedForAtEveryBrokerWhoseWordIsAHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: func(broker int, _ string) (string, error) {
			return [...]string{mdp.StatusFound, mdp.StatusNotFound}[broker], nil
		}}
		p.call = func(_ context.Context, req gateway.Request) (gateway.Reply, error) {
			if len(req.Brokers) != 1 || req.Brokers[0] != 0 {
				t.Errorf("sent to any of %v, want the first alone", req.Brokers)
			}
			return gateway.Reply{Frames: req.Frames}, nil
		}
		hint := mdp.V01.WithMMI(mdp.MMIHint)
		d := newDispatcher(t, p, dispatch.Config{}, "", hint, hint)
		for range 3 {
			if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second) // it is no longer known without asking
		}
	})
}

func TestOneQuestionServesAllWhoAskAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: func(int, string) (string, error) {
			time.Sleep(100 * time.Millisecond)
			return mdp.StatusFound, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{}, "")
		var running sync.WaitGroup
		for range 50 {
			running.Go(func() {
				if _, err := send(t.Context(), d, call("echo", "x")); err != nil {
					t.Error(err)
				}
			})
		}
		running.Wait()
		if p.lookups() != 1 || p.calls() != 50 {
			t.Errorf("%d look-ups, %d calls, want 1 and 50", p.lookups(), p.calls())
		}
	})
}

func TestAScannerReachesTheBrokerTwentyTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: func(_ int, service string) (string, error) {
			if service == "echo" {
				return mdp.StatusFound, nil
			}
			return mdp.StatusNotFound, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{}, "")
		send(t.Context(), d, call("echo", "x"))
		const seconds, names = 10, 10_000
		var refused int
		for i := range names {
			_, err := send(t.Context(), d, call(fmt.Sprintf("scan-%d", i), "x"))
			if gateway.AsError(err).Kind == gateway.Busy {
				failure(t, err, gateway.Busy, gateway.ReasonLookup)
				refused++
			}
			if _, err := send(t.Context(), d, call("echo", "x")); err != nil {
				t.Fatalf("a known service: %v", err)
			}
			time.Sleep(seconds * time.Second / names)
		}
		// Twenty at once, then twenty a second, and the known service's own.
		if got := p.lookups(); got > 20+20*seconds+5 || refused < names/2 {
			t.Errorf("%d look-ups for %d names in %d s, %d refused", got, names, seconds, refused)
		}
		if p.calls() != names+1 {
			t.Errorf("%d calls, want the known service's %d", p.calls(), names+1)
		}
	})
}

// The first call of a service that nobody called before is not refused while somebody else asks for invented names.
func TestAScannerDoesNotKeepOthersFromNewServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: func(_ int, service string) (string, error) {
			if strings.HasPrefix(service, "new") {
				return mdp.StatusFound, nil
			}
			return mdp.StatusNotFound, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{}, "")
		by := func(caller, name string) error {
			c := call(name, "x")
			c.Caller = caller
			_, err := send(t.Context(), d, c)
			return err
		}
		const second = 700
		var refused int
		for i := range 10 * second {
			if gateway.AsError(by("scanner", fmt.Sprintf("scan-%d", i))).Kind == gateway.Busy {
				refused++
			}
			if i%second == 0 {
				if err := by("other", fmt.Sprintf("new-%d", i)); err != nil {
					t.Errorf("the first call of a new service: %v", err)
				}
			}
			time.Sleep(time.Second / second)
		}
		if refused < 9*second {
			t.Errorf("%d of %d names of the scanner were refused, want most", refused, 10*second)
		}
	})
}

func TestNamesThatNobodyConfirmedShareTwoPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{call: hangs}
		d := newDispatcher(t, p, dispatch.Config{CatalogueMode: dispatch.CatalogueOpen}, "", mdp.V01.WithMMI(mdp.MMIOff))
		var refused atomic.Int64
		var running sync.WaitGroup
		for i := range 5 {
			running.Go(func() {
				_, err := send(t.Context(), d, call(fmt.Sprintf("name-%d", i), "x"))
				if gateway.AsError(err).Kind == gateway.Busy {
					refused.Add(1)
				}
			})
		}
		running.Wait()
		if refused.Load() != 3 || p.calls() != 2 {
			t.Errorf("%d refused, %d sent, want 3 and 2", refused.Load(), p.calls())
		}
		send(t.Context(), d, call("later", "x"))
		if p.calls() != 3 {
			t.Error("the places are not given back")
		}
	})
}

// One broker confirms the name while the call is under way, the other can't be asked.
func TestANameThatWasJustConfirmedNeedsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{call: hangs, lookup: func(int, string) (string, error) {
			time.Sleep(time.Millisecond)
			return mdp.StatusFound, nil
		}}
		d := newDispatcher(t, p, dispatch.Config{CatalogueMode: dispatch.CatalogueOpen}, "", mdp.V02, mdp.Majortomo)
		var running sync.WaitGroup
		for range 10 {
			running.Go(func() {
				_, err := send(t.Context(), d, call("echo", "x"))
				failure(t, err, gateway.Timeout, "")
			})
		}
		running.Wait()
	})
}

func TestACallGoesOnlyToBrokersThatDoNotDenyItsService(t *testing.T) {
	found, notFound := mdp.StatusFound, mdp.StatusNotFound
	for _, c := range []struct {
		name     string
		services string
		states   []gateway.EndpointState
		says     []string
		want     []int // nil: any of them
		kind     gateway.Kind
	}{
		{"all allow", "", nil, []string{found, found, found}, nil, ""},
		{"the first denies", "", nil, []string{notFound, found, found}, []int{1, 2}, ""},
		{"the last denies", "", nil, []string{found, found, notFound}, []int{0, 1}, ""},
		{"one is down", "", []gateway.EndpointState{gateway.Up, gateway.Down, gateway.Up}, []string{found, found, found}, []int{0, 2}, ""},
		{"every connected one denies", "", []gateway.EndpointState{gateway.Up, gateway.Down, gateway.Up}, []string{notFound, found, notFound}, nil, gateway.ServiceNotFound},
		{"all are down", "", []gateway.EndpointState{gateway.Down, gateway.Down, gateway.Down}, nil, nil, gateway.BrokerUnavailable},
		{"the catalogue names one", `{svc: {brokers: [b1]}}`, nil, []string{found, found, found}, []int{1}, ""},
		{"and that one is down", `{svc: {brokers: [b1]}}`, []gateway.EndpointState{gateway.Up, gateway.Down, gateway.Up}, nil, nil, gateway.BrokerUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pool{states: c.states, lookup: func(broker int, _ string) (string, error) { return c.says[broker], nil }}
				d := newDispatcher(t, p, dispatch.Config{}, c.services, mdp.V01, mdp.V01, mdp.V01)
				_, err := send(t.Context(), d, call("svc", "x"))
				if c.kind != "" {
					failure(t, err, c.kind, "")
					return
				}
				if err != nil || !slices.Equal(p.called[0].Brokers, c.want) {
					t.Errorf("sent to %v, %v, want %v", p.called[0].Brokers, err, c.want)
				}
			})
		})
	}
}

func TestABrokerThatAnsweredBeforeIsNotMutedForOneSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		d := newDispatcher(t, p, dispatch.Config{}, "")
		send(t.Context(), d, call("echo", "x"))
		p.lookup = noAnswer
		for i := range 2 {
			_, err := send(t.Context(), d, call(fmt.Sprintf("new-%d", i), "x"))
			failure(t, err, gateway.BrokerUnavailable, "")
		}
		p.lookup = answers(mdp.StatusFound)
		if _, err := send(t.Context(), d, call("new", "x")); err != nil {
			t.Errorf("it answers again: %v", err)
		}
		p.lookup = noAnswer
		for i := range 3 {
			send(t.Context(), d, call(fmt.Sprintf("newer-%d", i), "x"))
		}
		asked := p.lookups()
		_, err := send(t.Context(), d, call("newest", "x"))
		failure(t, err, gateway.ServiceNotFound, "")
		if p.lookups() != asked {
			t.Error("it was asked again after three silences in a row")
		}
	})
}

func TestABrokerThatCameBackIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{lookup: noAnswer}
		d := newDispatcher(t, p, dispatch.Config{}, "")
		_, err := send(t.Context(), d, call("svc", "x"))
		failure(t, err, gateway.ServiceNotFound, "")
		p.mu.Lock()
		p.epoch++
		p.mu.Unlock()
		p.lookup = answers(mdp.StatusFound)
		if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
			t.Errorf("got %v, want a reply", err)
		}
	})
}

// A broker of which nobody knows yet whether it can be reached, such as one whose
// name server is mute, is waited for only if no other takes the call.
func TestABrokerThatIsNotReachedYetHoldsNobodyUp(t *testing.T) {
	for _, c := range []struct {
		other string
		took  time.Duration
		want  []int
	}{
		{mdp.StatusFound, 0, []int{1}},
		{mdp.StatusNotFound, time.Second, []int{0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &pool{states: []gateway.EndpointState{gateway.Pending, gateway.Up}}
			p.lookup = func(broker int, _ string) (string, error) {
				if broker == 1 {
					return c.other, nil
				}
				time.Sleep(time.Second)
				return mdp.StatusFound, nil
			}
			d := newDispatcher(t, p, dispatch.Config{}, "", mdp.V01, mdp.V01)
			start := time.Now()
			_, err := send(t.Context(), d, call("svc", "x"))
			if took := time.Since(start); err != nil || took != c.took || !slices.Equal(p.called[0].Brokers, c.want) {
				t.Errorf("the other says %s: sent to %v, %v after %v, want %v after %v", c.other, p.called[0].Brokers, err, took, c.want, c.took)
			}
		})
	}
}

// While calls are answered by one broker, nobody waits long for the word of
// another that hangs.
func TestABrokerThatHangsHoldsNoCallUpThatAnotherTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(pool)
		p.call = func(_ context.Context, req gateway.Request) (gateway.Reply, error) {
			return gateway.Reply{Frames: req.Frames, Broker: 1}, nil
		}
		d := newDispatcher(t, p, dispatch.Config{}, "", mdp.V01, mdp.V01)
		if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
			t.Fatal(err)
		}
		p.lookup = func(broker int, name string) (string, error) {
			if broker == 0 {
				time.Sleep(500 * time.Millisecond)
				return noAnswer(broker, name)
			}
			return mdp.StatusFound, nil
		}
		for range 20 {
			time.Sleep(time.Second)
			start := time.Now()
			if _, err := send(t.Context(), d, call("svc", "x")); err != nil || time.Since(start) > 50*time.Millisecond {
				t.Errorf("%v after %v, want an answer after 50 ms at most", err, time.Since(start))
			}
		}
		// Five seconds after its last word, and before it is taken for one that answers none.
		if got := p.called[6].Brokers; !slices.Equal(got, []int{1}) {
			t.Errorf("sent to %v, want the one that is known", got)
		}
		if n := p.lookups(); n < 3 {
			t.Errorf("%d look-ups, want the one that hangs asked all the same", n)
		}
		time.Sleep(time.Second) // the last look-up ends
	})
}

// What a broker said a moment ago counts for nothing once it is down: the others
// decide.
func TestABrokerThatIsDownAllowsNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		other gateway.EndpointState // of the second broker
		says  string
		kind  gateway.Kind // empty: the call goes to it
	}{
		{"the other denies", gateway.Up, mdp.StatusNotFound, gateway.NoWorkers},
		{"the other has it", gateway.Up, mdp.StatusFound, ""},
		{"the other is not reached yet, and has it", gateway.Pending, mdp.StatusFound, ""},
		{"the other is down, too", gateway.Down, mdp.StatusFound, gateway.BrokerUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				says := []string{mdp.StatusFound, mdp.StatusNotFound}
				p := &pool{lookup: func(broker int, _ string) (string, error) { return says[broker], nil }}
				d := newDispatcher(t, p, dispatch.Config{}, "", mdp.V01, mdp.V01)
				if _, err := send(t.Context(), d, call("svc", "x")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second) // it is known still, and the denial is not
				p.mu.Lock()
				p.states = []gateway.EndpointState{gateway.Down, c.other}
				p.mu.Unlock()
				says[1] = c.says
				_, err := send(t.Context(), d, call("svc", "x"))
				if c.kind != "" {
					failure(t, err, c.kind, "")
					if p.calls() != 1 {
						t.Errorf("it was sent to %v", p.called[1].Brokers)
					}
					return
				}
				if err != nil || !slices.Equal(p.called[1].Brokers, []int{1}) {
					t.Errorf("got %v, sent to %v, want it sent to the other", err, p.called[1:])
				}
			})
		})
	}
}
