// Command go makes the calls of the project's README over a client that oapi-codegen
// generated, as one writes them at first.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"mime/multipart"
	"net/http"
	"os"
	"reflect"

	"mdpgateway/tools/clients/go/api"
)

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func check(name string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		log.Fatalf("%s: got %v, want %v", name, got, want)
	}
}

func data(frames []api.Frame) (all []any) {
	for _, f := range frames {
		all = append(all, f.Data)
	}
	return all
}

// event returns the name of an event.
func event(line []byte) (string, error) {
	var e api.Event
	if err := e.UnmarshalJSON(line); err != nil {
		return "", err
	}
	return e.Discriminator()
}

func main() {
	ctx := context.Background()
	gateway := must(api.NewClientWithResponses(os.Args[1]))

	vars := api.Vars{"sf": 7}
	json := must(gateway.CallServiceWithResponse(ctx, "echo", nil, api.Envelope{Body: "hello", Vars: &vars}))
	check("JSON", data(json.JSON200.Frames), []any{"hello", "{'sf': 7}"})

	octets := api.Encoding("base64")
	frames := must(gateway.CallServiceWithResponse(ctx, "echo", nil, api.Envelope{Frames: &[]api.RequestFrame{{Data: "first"}, {Data: "AAEC", Encoding: &octets}}}))
	check("frames", data(frames.JSON200.Frames)[:2], []any{"first", "AAEC"})

	samples := make([]byte, 65536)
	_, _ = rand.Read(samples)
	first := 0
	raw := must(gateway.CallServiceWithBodyWithResponse(ctx, "echo", &api.CallServiceParams{Frame: &first}, "application/octet-stream", bytes.NewReader(samples)))
	check("raw", raw.Body, samples)

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("frame", "hello")
	_ = form.WriteField("vars", `{"sf":7}`)
	_ = form.Close()
	formed := must(gateway.CallServiceWithBodyWithResponse(ctx, "echo", nil, form.FormDataContentType(), &body))
	check("form", data(formed.JSON200.Frames), []any{"hello", "{'sf': 7}"})

	lines := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Accept", "application/x-ndjson")
		return nil
	}
	stream := must(gateway.CallService(ctx, "stream", nil, api.Envelope{Body: "2"}, lines)) // as it comes, not read to its end first
	var events []string
	for line := bufio.NewScanner(stream.Body); line.Scan(); {
		events = append(events, must(event(line.Bytes())))
	}
	check("parts", events, []string{"partial", "partial", "final"})

	short := "200ms"
	late := must(gateway.CallServiceWithResponse(ctx, "sleep", &api.CallServiceParams{Timeout: &short}, api.Envelope{Body: "1s"}))
	check("timeout", late.StatusCode(), 504)
	problem := must(late.ApplicationproblemJSON504.AsTimeoutProblem())
	check("problem", []any{string(problem.Executed), problem.LimitMs}, []any{"maybe", 200})

	async, wait := "respond-async", "30s"
	accepted := must(gateway.CallServiceWithResponse(ctx, "echo", &api.CallServiceParams{Prefer: &async}, api.Envelope{Body: "later"}))
	check("202", accepted.StatusCode(), 202)
	job := must(gateway.GetJobWithResponse(ctx, accepted.JSON202.Id, &api.GetJobParams{Wait: &wait}))
	check("job", string(job.JSON200.State), "done")
	reply := must(gateway.GetJobReplyWithResponse(ctx, accepted.JSON202.Id, nil))
	check("its reply", data(reply.JSON200.Frames), []any{"later"})

	shown := must(gateway.DryRunServiceWithResponse(ctx, "echo", nil, api.Envelope{Vars: &vars}))
	check("dry run", *shown.JSON200.Frames[len(shown.JSON200.Frames)-1].Text, "{'sf': 7}")

	services := must(gateway.ListServicesWithResponse(ctx, nil))
	check("services", len(services.JSON200.Services) > 0, true)
	fmt.Println("all as it should be")
}
