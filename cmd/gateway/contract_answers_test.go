package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mdpgateway/internal/demo"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// provocations are what makes the program give each answer that the document
// shows. It is set once.
var provocations = map[string]func(t *testing.T) exchange{
	"POST /services/{name} 200 application/json reply": onEcho(jsonBody, `{"frames":["hello",{"data":"AP+A","encoding":"base64"}]}`),
	"POST /services/{name} 200 application/json partials": func(t *testing.T) exchange {
		return startLora(t).call(t, "stream", jsonBody, `{"body":"2"}`)
	},
	"POST /services/{name}/dry-run 200 application/json": func(t *testing.T) exchange {
		return startLora(t, "--dialect", "mdp/0.2").call(t, "echo/dry-run", rawBody, "\x00\xff\x80")
	},
	"POST /services/{name} 200 application/octet-stream": onEcho(rawBody, "samples"),
	"POST /services/{name} 200 text/plain":               onEcho(rawBody, "hello", "Accept", "text/plain"),
	"POST /services/{name} 200 text/event-stream": func(t *testing.T) exchange {
		return startLora(t).call(t, "stream", rawBody, "1", "Accept", "text/event-stream")
	},
	"POST /services/{name} 200 application/x-ndjson": func(t *testing.T) exchange {
		return startLora(t).call(t, "stream", rawBody, "1", "Accept", "application/x-ndjson")
	},
	"GET /services/{name} 200 application/json": onGet("/services/lora_decode"),
	"GET /services 200 application/json": func(t *testing.T) exchange {
		g := withKey(t, "", "--config", write(t, t.TempDir(), "gateway.yaml", lora))
		return g.ask(t, http.MethodGet, "/services", g.key("lora_decode"))
	},
	"GET /livez 200 application/json":           onGet("/livez"),
	"GET /readyz 200 application/json ready":    onGet("/readyz"),
	"GET /readyz 200 application/json degraded": degraded,
	"GET /version 200 application/json":         onGet("/version"),
	"GET /metrics 200 text/plain":               onGet("/metrics"),

	"POST /services/{name} 202 application/json": func(t *testing.T) exchange {
		return startLora(t).call(t, "lora_decode", jsonBody, `{"vars":{"sf":7}}`, "Prefer", "respond-async")
	},
	"GET /jobs 200 application/json":                 onJob("echo", ""),
	"GET /jobs/{id} 200 application/json":            onJob("echo", "/"),
	"GET /jobs/{id}/reply 200 application/json":      onJob("echo", "/reply"),
	"GET /jobs/{id}/events 200 text/event-stream":    onJob("stream", "/events"),
	"GET /jobs/{id}/events 200 application/x-ndjson": onJob("stream", "/events", "Accept", "application/x-ndjson"),
	"POST /jobs/{id}/cancel 200 application/json": func(t *testing.T) exchange {
		g := startLora(t)
		return g.ask(t, http.MethodPost, "/jobs/"+g.jobFor(t, "/cancel")+"/cancel", nil)
	},

	"job_not_found":        onGet("/jobs/" + strings.Repeat("a", 40)),
	"job_not_done":         onQueuedJob("/reply"),
	"expired":              onQueuedJob("/reply?wait=30s", "expires=1ms"),
	"canceled":             canceledJob,
	"job_over":             jobOver,
	"idempotency_mismatch": idempotencyMismatch,
	"store_unavailable":    storeUnavailable,
	"job_unconfirmed":      jobUnconfirmed,
	"busy_jobs":            busyJobs,
	"busy_jobs_bytes":      busyJobsBytes,
	"rate_limited_jobs":    rateLimitedJobs,

	"bad_request":  onEcho(jsonBody, `{"body":"AAE","encoding":"base64"}`),
	"unauthorized": func(t *testing.T) exchange { return withKey(t, "").call(t, "echo", jsonBody, `{}`) },
	"forbidden": func(t *testing.T) exchange {
		g := withKey(t, "")
		return g.call(t, "echo", jsonBody, `{}`, g.key("other")...)
	},
	"rate_limited":           rateLimited,
	"origin_refused":         onEcho(jsonBody, `{}`, "Origin", "https://foreign.example", "Sec-Fetch-Site", "cross-site"),
	"service_not_found":      func(t *testing.T) exchange { return startLora(t).call(t, "nobody", jsonBody, `{}`) },
	"not_found":              onGet("/nothing"),
	"method_not_allowed":     func(t *testing.T) exchange { return startLora(t).ask(t, http.MethodPut, "/services/echo", nil) },
	"not_acceptable":         onEcho(rawBody, "x", "Accept", "text/html"),
	"not_acceptable_reply":   onEcho(jsonBody, `{"frames":["first",{"data":"AP+A","encoding":"base64"}]}`, "Accept", "application/octet-stream"),
	"unsupported_media_type": onEcho("application/x-www-form-urlencoded", "a=b"),
	"invalid_vars": func(t *testing.T) exchange {
		return startLora(t).call(t, "lora_decode", jsonBody, `{"vars":{"sf":13}}`)
	},
	"body_timeout":       bodyTimeout,
	"body_too_large":     bodyTooLarge,
	"headers_too_large":  onEcho(rawBody, "x", "X-Filler", strings.Repeat("x", 66_000)),
	"internal":           internalError,
	"worker_error":       workerError,
	"worker_status":      workerStatus,
	"bad_reply":          badReply,
	"reply_too_large":    replyTooLarge,
	"broker_lost":        brokerLost,
	"interrupted":        interrupted,
	"busy":               busy,
	"busy_queue":         busyQueue,
	"busy_deadline":      busyDeadline,
	"busy_service":       busyService,
	"busy_memory":        busyMemory,
	"busy_lookup":        busyLookup,
	"broker_unavailable": brokerUnavailable,
	"no_workers":         noWorkers,
	"draining":           draining,
	"timeout":            timedOut,
}

const (
	jsonBody = "application/json"
	rawBody  = "application/octet-stream"
)

// ask sends a request without body.
func (g *running) ask(t *testing.T, method, path string, header []string) exchange {
	t.Helper()
	return exchanged(t, newClient(t), g.request(t, method, path, nil, header))
}

func (g *running) request(t *testing.T, method, path string, body io.Reader, header []string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, g.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// call posts a body to a service.
func (g *running) call(t *testing.T, service, contentType, body string, header ...string) exchange {
	t.Helper()
	return exchanged(t, newClient(t), g.request(t, http.MethodPost, "/services/"+service, strings.NewReader(body), append([]string{"Content-Type", contentType}, header...)))
}

// connected waits until the broker can be reached.
func (g *running) connected() {
	g.t.Helper()
	eventually(g.t, "the broker can be reached", func() bool { return g.get("/readyz").status == http.StatusOK })
}

// busyConnections waits until so many calls are with the broker.
func (g *running) busyConnections(n string) {
	g.t.Helper()
	eventually(g.t, n+" calls are in flight", func() bool {
		return strings.Contains(string(g.get("/metrics").body), `mdp_gateway_pool_connections{state="busy"} `+n+"\n")
	})
}

func onGet(path string) func(t *testing.T) exchange {
	return func(t *testing.T) exchange { return startLora(t).ask(t, http.MethodGet, path, nil) }
}

func onEcho(contentType, body string, header ...string) func(t *testing.T) exchange {
	return func(t *testing.T) exchange { return startLora(t).call(t, "echo", contentType, body, header...) }
}

func degraded(t *testing.T) exchange {
	broker := mdptest.NewRouter(t, nil)
	path := write(t, t.TempDir(), "gateway.yaml", "brokers: [{name: hall1, endpoint: '"+broker.Endpoint()+"'}]")
	g := start(t, "--config", path)
	g.connected()
	broker.Close()
	var x exchange
	eventually(t, "the broker is missed", func() bool {
		x = g.ask(t, http.MethodGet, "/readyz", nil)
		return x.answer.json("degraded") != nil
	})
	return x
}

// A keyed gateway has keys, by their ids.
type keyed struct {
	*running
	secrets map[string]string
}

// key returns the header with a key.
func (k keyed) key(id string) []string { return []string{"Authorization", "Bearer " + k.secrets[id]} }

// withKey starts a gateway with keys for one service each, whose names they have,
// and more in the entry of echo's.
func withKey(t *testing.T, more string, args ...string) keyed {
	t.Helper()
	k := keyed{secrets: map[string]string{}}
	var file string
	for _, id := range []string{"echo", "other", "lora_decode"} {
		secret, entry := newKey(t, id)
		k.secrets[id] = secret
		file += strings.Replace(entry, "'*'", id, 1)
		if id == "echo" && more != "" {
			file = strings.Replace(file, "services: ", more+", services: ", 1)
		}
	}
	k.running = start(t, append([]string{"--keys-file", write(t, t.TempDir(), "keys.yaml", file)}, args...)...)
	return k
}

func rateLimited(t *testing.T) exchange {
	g := withKey(t, "rate: 1/h")
	var x exchange
	eventually(t, "the rate is used up", func() bool {
		x = g.call(t, "echo", jsonBody, `{}`, g.key("echo")...)
		return x.answer.status == http.StatusTooManyRequests
	})
	return x
}

func bodyTimeout(t *testing.T) exchange {
	g := startLora(t, "--body-idle-timeout", "100ms")
	body, more := io.Pipe()
	defer more.Close()
	go func() { _, _ = io.WriteString(more, "only the beginning") }()
	return exchanged(t, newClient(t), g.request(t, http.MethodPost, "/services/echo", body, []string{"Content-Type", rawBody}))
}

// A caller that says how much it is about to send, and waits, is told without
// having sent any of it.
func bodyTooLarge(t *testing.T) exchange {
	g := startLora(t)
	r := g.request(t, http.MethodPost, "/services/echo", strings.NewReader(""), []string{"Content-Type", rawBody, "Expect", "100-continue"})
	r.Body, r.GetBody, r.ContentLength = io.NopCloser(unsent{}), nil, 64<<20+1
	client := newClient(t)
	client.Transport.(*http.Transport).ExpectContinueTimeout = patience
	return exchanged(t, client, r)
}

// unsent is a body that must not be read.
type unsent struct{}

func (unsent) Read([]byte) (int, error) { return 0, errors.New("the body was asked for") }

// There is no bug that could be asked for, so one is put in: what calls services
// panics. All that is before it is the real thing.
func internalError(t *testing.T) exchange {
	api, err := httpapi.New(httpapi.Config{Caller: broken{}, Health: broken{}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return (&running{t: t, url: server.URL}).call(t, "echo", jsonBody, `{}`)
}

// broken is a Caller whose services have a bug.
type broken struct{ httpapi.Caller }

func (broken) Service(string) gateway.Service { return buggy{} }
func (broken) SilentServices() int            { return 0 }

func (broken) Brokers() (bool, bool, []string, []string, []string) {
	return true, true, nil, nil, nil
}

type buggy struct{ gateway.Service }

func (buggy) Form() (string, gateway.Encoding)                                  { return "", "" }
func (buggy) Call(context.Context, gateway.Call) (reply gateway.Reply, _ error) { panic("a bug") }

func workerError(t *testing.T) exchange {
	broker := mdptest.Broker(t)
	w, err := demo.Start(demo.Config{Endpoint: mdptest.Endpoint(broker), Dialect: mdp.Loudify})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	mdptest.WaitForService(t, mdptest.Endpoint(broker), "fail")
	g := start(t, "--broker", mdptest.Endpoint(broker), "--dialect", "loudify")
	g.connected()
	return g.call(t, "fail", jsonBody, `{}`)
}

func workerStatus(t *testing.T) exchange {
	g := startLora(t)
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Services: map[string]worker.Handler{
		"lora_decode": func(context.Context, [][]byte, func([][]byte) error) ([][]byte, error) {
			return [][]byte{[]byte("decode_error")}, nil
		},
	}})
	return g.call(t, "lora_decode", jsonBody, `{"vars":{"sf":7}}`, "Prefer", "wait=20")
}

// scripted starts a gateway whose broker answers requests as a script says, and
// MMI well.
func scripted(t *testing.T, script func(broker *mdptest.Router) [][][]byte) *running {
	t.Helper()
	brokers := make(chan *mdptest.Router, 1)
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte {
		if string(m[2]) == mdp.MMIService {
			return [][][]byte{{nil, []byte("MDPC01"), []byte(mdp.MMIService), []byte("200")}}
		}
		b := <-brokers
		brokers <- b
		return script(b)
	})
	brokers <- broker
	g := start(t, "--broker", broker.Endpoint())
	g.connected()
	return g
}

func badReply(t *testing.T) exchange {
	return scripted(t, func(*mdptest.Router) [][][]byte {
		return [][][]byte{{nil, []byte("MDPC01")}} // without service
	}).call(t, "echo", jsonBody, `{}`)
}

func brokerLost(t *testing.T) exchange {
	return scripted(t, func(broker *mdptest.Router) [][][]byte {
		go broker.Close()
		return nil
	}).call(t, "echo", jsonBody, `{}`)
}

func replyTooLarge(t *testing.T) exchange {
	return startLora(t, "--max-reply", "1KiB").call(t, "echo", rawBody, strings.Repeat("x", 2000))
}

func interrupted(t *testing.T) exchange {
	g := startLora(t, "--drain", "100ms")
	open := make(chan exchange, 1)
	go func() { open <- g.call(t, "sleep", jsonBody, `{"body":"1m"}`) }()
	g.busyConnections("1")
	g.end()
	return <-open
}

// occupied holds calls of sleep until the test has ended: some at the broker, and
// others waiting for a connection.
func (g *running) occupied(calls, waiting int) *running {
	g.t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	client := newClient(g.t)
	var open sync.WaitGroup
	g.t.Cleanup(func() { leave(); open.Wait() })
	for range calls + waiting {
		r := g.request(g.t, http.MethodPost, "/services/sleep", strings.NewReader(`{"body":"1m"}`), []string{"Content-Type", jsonBody})
		open.Go(func() { _, _ = do(client, r.WithContext(ctx)) })
	}
	g.busyConnections(strconv.Itoa(calls))
	eventually(g.t, "the others wait", func() bool {
		return strings.Contains(string(g.get("/metrics").body), fmt.Sprintf("mdp_gateway_queue_depth %d\n", waiting))
	})
	return g
}

func busy(t *testing.T) exchange {
	return startLora(t, "--pool-max", "1", "--queue-timeout", "50ms").occupied(1, 0).call(t, "sleep", jsonBody, `{}`)
}

func busyQueue(t *testing.T) exchange {
	return startLora(t, "--pool-max", "1", "--queue-max", "1", "--queue-timeout", "1m").occupied(1, 1).call(t, "sleep", jsonBody, `{}`)
}

func busyDeadline(t *testing.T) exchange {
	return startLora(t, "--pool-max", "1", "--queue-timeout", "1m").occupied(1, 0).call(t, "sleep?timeout=50ms", jsonBody, `{}`)
}

func busyService(t *testing.T) exchange {
	g := start(t, "--config", write(t, t.TempDir(), "gateway.yaml", "services: {sleep: {max_in_flight: 1}}"))
	g.waitForDemo()
	return g.occupied(1, 0).call(t, "sleep", jsonBody, `{}`)
}

func busyMemory(t *testing.T) exchange { return startFull(t).call(t, "echo", jsonBody, `{}`) }

// startFull starts a gateway that holds as many bytes as it may: of bodies whose
// callers have said how long they are, and have sent nothing. Each caller has an address
// of its own, since one address cannot hold all.
func startFull(t *testing.T) *running {
	t.Helper()
	g := startLora(t, "--max-body", "1MiB", "--max-reply", "1MiB", "--max-buffered", "2MiB")
	for n := range byte(2) {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2+n)}}
		c, err := from.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "POST /services/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 1048576\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "both hold their length", func() bool {
		return strings.Contains(string(g.get("/metrics").body), "mdp_gateway_buffered_bytes 2.097152e+06\n")
	})
	return g
}

// Without MMI no broker confirms sleep before it has replied.
func busyLookup(t *testing.T) exchange {
	return startLora(t, "--dialect", "mdp/0.2", "--mmi", "off", "--catalogue", "open").occupied(2, 0).call(t, "vars", jsonBody, `{}`)
}

func brokerUnavailable(t *testing.T) exchange {
	gone := mdptest.NewRouter(t, nil)
	gone.Close()
	return start(t, "--broker", gone.Endpoint()).call(t, "echo", jsonBody, `{}`)
}

func noWorkers(t *testing.T) exchange {
	return startLora(t, "--no-workers-wait", "10ms").call(t, "lora_decode", jsonBody, `{"vars":{"sf":7}}`)
}

func draining(t *testing.T) exchange {
	g := startLora(t, "--drain-delay", "2s")
	ended := make(chan int, 1)
	g.stop()
	var x exchange
	eventually(t, "it is not ready", func() bool {
		x = g.ask(t, http.MethodGet, "/readyz", nil)
		return x.answer.status != http.StatusOK
	})
	go func() { ended <- g.end() }()
	<-ended
	return x
}

func timedOut(t *testing.T) exchange {
	g := startLora(t)
	if x := g.call(t, "sleep", jsonBody, `{"body":"1ms"}`); x.answer.status != http.StatusOK {
		t.Fatalf("got %d %s", x.answer.status, x.answer.body)
	}
	return g.call(t, "sleep?timeout=200ms", jsonBody, `{"body":"1m"}`)
}
