package dispatch

import (
	"fmt"
	"time"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/gateway"
)

// late returns a call's Late with its reply judged as that of a call in time would have been.
func (d *Dispatcher) late(call *gateway.Call, spec *catalogue.Service) func(int64) (gateway.LateWait, bool) {
	ask, name := call.Late, call.Service
	return func(room int64) (gateway.LateWait, bool) {
		wait, ok := ask(room)
		if !ok {
			return wait, false
		}
		done := wait.Done
		wait.Done = func(reply gateway.Reply, err error) {
			if err == nil {
				svc := d.services.add(name)
				svc.replied(reply.Broker, time.Now())
				svc.slowest.note(int64(reply.Timing.Broker))
				err = d.judge(spec, &reply)
			}
			if err != nil {
				e := gateway.AsError(err)
				e.Service = name
				if e.Kind == gateway.Timeout {
					e.Timeout = &gateway.TimeoutDetail{
						Stage: gateway.StageBroker, Limit: wait.Timeout, LimitBy: wait.TimeoutBy, Elapsed: reply.Timing.Queue + reply.Timing.Broker,
					}
					e.Timeout.LastOK, e.Timeout.MMI = d.services.last(name, reply.Broker)
					if e.Detail == "" {
						e.Detail = fmt.Sprintf("no reply within %v; the service may still be at work", wait.Timeout)
					}
				}
				err = e
			}
			done(reply, err)
		}
		return wait, true
	}
}
