package client_test

import (
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mdpgateway/internal/mdp/client"
	"mdpgateway/internal/mdp/mdptest"
)

// A stalled log takes no line until it is released.
type stalled struct {
	reached  chan struct{} // closed by the first line
	first    sync.Once
	released chan struct{}
}

func (s *stalled) Write(p []byte) (int, error) {
	s.first.Do(func() { close(s.reached) })
	<-s.released
	return len(p), nil
}

// Whoever waits for the log holds nothing that calls need.
func TestALogThatStallsHoldsUpNoCall(t *testing.T) {
	broker := mdptest.NewRouter(t, func(_ []byte, m [][]byte) [][][]byte { return [][][]byte{m} })
	log := &stalled{reached: make(chan struct{}), released: make(chan struct{})}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(log), zap.InfoLevel)
	p := newPool(t, client.Config{Log: zap.New(core)}, at(broker.Endpoint()))
	defer close(log.released)
	<-log.reached // by the line that says that the broker is connected
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		mustCall(t, p, "hello")
		p.Stats()
	}()
	select {
	case <-answered:
	case <-time.After(patience):
		t.Error("a call waits for the log")
	}
}
