package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi"
	"mdpgateway/internal/jobs"
)

// onJob asks for a job that is done: by "", for the list of jobs.
func onJob(service, path string, header ...string) func(t *testing.T) exchange {
	return func(t *testing.T) exchange {
		g := startLora(t)
		body := `{"body":"hello"}`
		if service == "stream" {
			body = `{"body":"1"}`
		}
		id := g.submit(t, service, jsonBody, body)
		g.awaitJob(t, id)
		if path != "" {
			path = "/" + id + strings.TrimSuffix(path, "/")
		}
		return g.ask(t, http.MethodGet, "/jobs"+path, header)
	}
}

// queuedJob makes a job of a service without workers.
func queuedJob(t *testing.T, g *running, query string, header ...string) exchange {
	t.Helper()
	return g.call(t, "lora_decode?"+query, jsonBody, `{"vars":{"sf":7}}`, append([]string{"Prefer", "respond-async"}, header...)...)
}

func onQueuedJob(path string, query ...string) func(t *testing.T) exchange {
	return func(t *testing.T) exchange {
		g := startLora(t)
		id := queuedJob(t, g, strings.Join(query, "&")).answer.json("id").(string)
		return g.ask(t, http.MethodGet, "/jobs/"+id+path, nil)
	}
}

func canceledJob(t *testing.T) exchange {
	g := startLora(t)
	id := queuedJob(t, g, "").answer.json("id").(string)
	g.ask(t, http.MethodPost, "/jobs/"+id+"/cancel", nil)
	return g.ask(t, http.MethodGet, "/jobs/"+id+"/reply", nil)
}

func jobOver(t *testing.T) exchange {
	g := startLora(t)
	id := g.submit(t, "echo", jsonBody, `{}`)
	g.awaitJob(t, id)
	return g.ask(t, http.MethodPost, "/jobs/"+id+"/cancel", nil)
}

func idempotencyMismatch(t *testing.T) exchange {
	g := startLora(t)
	key := []string{"Prefer", "respond-async", "Idempotency-Key", "k"}
	g.call(t, "echo", rawBody, "x", key...)
	return g.call(t, "echo", rawBody, "y", key...)
}

func busyJobs(t *testing.T) exchange {
	g := startLora(t, "--jobs-max", "1")
	queuedJob(t, g, "")
	return queuedJob(t, g, "")
}

func busyJobsBytes(t *testing.T) exchange {
	return startLora(t, "--jobs-max-bytes", "1MiB").call(t, "echo", rawBody, strings.Repeat("x", 1<<20), "Prefer", "respond-async")
}

func rateLimitedJobs(t *testing.T) exchange {
	secret, entry := newKey(t, "lora_decode")
	entry = strings.Replace(entry, "'*'", "lora_decode", 1)
	entry = strings.Replace(entry, "services:", "max_jobs: 1, services:", 1)
	dir := t.TempDir()
	g := start(t, "--config", write(t, dir, "gateway.yaml", lora), "--access-file", write(t, dir, "access.yaml", entry))
	key := []string{"Authorization", "Bearer " + secret}
	queuedJob(t, g, "", key...)
	return queuedJob(t, g, "", key...)
}

// A store that can't be reached can't be asked for, so one is put in. All that is before it is the real thing.
func withStore(t *testing.T, store jobs.Store) exchange {
	runner, err := jobs.New(jobs.Config{Store: store, Caller: prepared{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runner.Close(context.Background()) })
	api, err := httpapi.New(httpapi.Config{Caller: broken{}, Health: broken{}, Jobs: runner})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return (&running{t: t, url: server.URL}).call(t, "echo", jsonBody, `{}`, "Prefer", "respond-async")
}

func storeUnavailable(t *testing.T) exchange { return withStore(t, awayStore{err: errors.New("away")}) }

func jobUnconfirmed(t *testing.T) exchange { return withStore(t, awayStore{err: jobs.ErrUnconfirmed}) }

// awayStore is a store that answers nothing.
type awayStore struct {
	jobs.Store
	err error
}

func (awayStore) Open(context.Context, func(jobs.Job) error) error { return nil }
func (s awayStore) Submit(context.Context, *jobs.Job, [][]byte, jobs.Key) (*jobs.Job, error) {
	return nil, s.err
}
func (s awayStore) Move(context.Context, jobs.Move) (jobs.Job, error)         { return jobs.Job{}, s.err }
func (s awayStore) Interrupted(context.Context) (map[string]jobs.Kept, error) { return nil, s.err }
func (s awayStore) Delete(context.Context, string) error                      { return s.err }

// prepared is a Caller of jobs that takes every call.
type prepared struct{ jobs.Caller }

func (prepared) PrepareJob(context.Context, *gateway.Call) error { return nil }
func (prepared) JobRules(string) gateway.JobRules                { return gateway.JobRules{} }
