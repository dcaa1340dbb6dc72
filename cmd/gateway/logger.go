package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// flushEvery is the longest that the line of a request waits for others to be
// written together with, and flushSize how much of them does.
const (
	flushEvery = 200 * time.Millisecond
	flushSize  = 64 << 10
)

// newLogger writes to w at a level of zap's and in one of two formats: json for
// machines, console for people.
func newLogger(w io.Writer, level, format string) (*zap.Logger, error) {
	at, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	return zap.New(zapcore.NewCore(newEncoder(format), zapcore.Lock(unsynced(w)), at)), nil
}

// Logs are the two logs of a gateway, which write the same lines to one place in
// the order in which they come. A write for each request costs as much as the
// rest of what HTTP does for it, so the lines of requests wait for each other.
// A process that is killed, or crashes, loses those of the last flushEvery, and a
// disk that is full those that it does not take.
type logs struct {
	main     *zap.Logger // writes each line at once, after those that wait
	requests *zap.Logger // lets lines wait that are below Warn
	level    zap.AtomicLevel
	buffer   *zapcore.BufferedWriteSyncer
}

func newLogs(w io.Writer, level, format string) (*logs, error) {
	at, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	buffer := &zapcore.BufferedWriteSyncer{WS: unsynced(patient{w}), Size: flushSize, FlushInterval: flushEvery}
	core := zapcore.NewCore(newEncoder(format), buffer, at)
	return &logs{
		main: zap.New(prompt{core, zapcore.DebugLevel}), requests: zap.New(prompt{core, zapcore.WarnLevel}),
		level: at, buffer: buffer,
	}, nil
}

// close writes what waits. What is logged to main afterwards is still written.
func (l *logs) close() error { return l.buffer.Stop() }

// A prompt writes what waits as soon as a line of some level comes.
type prompt struct {
	zapcore.Core
	from zapcore.Level
}

// With is zapcore.Core.
func (p prompt) With(fields []zapcore.Field) zapcore.Core {
	return prompt{p.Core.With(fields), p.from}
}

// Check is zapcore.Core.
func (p prompt) Check(entry zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if p.Enabled(entry.Level) {
		return to.AddCore(entry, p)
	}
	return to
}

// Write is zapcore.Core.
func (p prompt) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	err := p.Core.Write(entry, fields)
	if entry.Level >= p.from {
		err = errors.Join(err, p.Sync())
	}
	return err
}

// A patient writer says that it wrote what it could not: bufio, in front of it,
// never writes again after an error, and a disk that was full for a moment would
// end the log. There is no other place to complain to.
type patient struct{ io.Writer }

// Write is io.Writer.
func (p patient) Write(text []byte) (int, error) {
	_, _ = p.Writer.Write(text)
	return len(text), nil
}

// unsynced hides that a file could be made to reach its disk, which is not worth
// the wait.
func unsynced(w io.Writer) zapcore.WriteSyncer { return zapcore.AddSync(struct{ io.Writer }{w}) }

func parseLevel(level string) (zap.AtomicLevel, error) {
	at, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return at, fmt.Errorf("log-level is %q: %w", level, err)
	}
	return at, nil
}

func newEncoder(format string) zapcore.Encoder {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey, cfg.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.SecondsDurationEncoder
	if format == "console" {
		cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		cfg.EncodeDuration = zapcore.StringDurationEncoder
		return zapcore.NewConsoleEncoder(cfg)
	}
	return zapcore.NewJSONEncoder(cfg)
}
