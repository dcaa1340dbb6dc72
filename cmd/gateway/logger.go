package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Logs are the two logs of a process, which write the same lines to one place in
// the order in which they come, and make nobody wait. A write for each request costs
// as much as the rest of what HTTP does for it, so the lines of requests wait for
// each other. A process that is killed, or crashes, loses those of the last
// flushEvery, and a disk that is full those that it does not take.
type logs struct {
	main     *zap.Logger // its lines are written at once, after those that wait
	requests *zap.Logger // lets lines wait that are below Warn
	level    zap.AtomicLevel
	queue    *logQueue
}

// newLogs writes to w at a level of zap's and in one of two formats: json for
// machines, console for people. Close ends it.
func newLogs(w io.Writer, level, format string) (*logs, error) {
	return newLogsAt(time.NewTicker(flushEvery).C, w, level, format)
}

// newLogsAt writes the lines that wait at each of ticks.
func newLogsAt(ticks <-chan time.Time, w io.Writer, level, format string) (*logs, error) {
	at, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log-level is %q: %w", level, err)
	}
	encoder := newEncoder(format)
	queue := newLogQueue(w, ticks, func(lost int) []byte { return lostLines(encoder, lost) })
	core := zapcore.NewCore(encoder, queue, at)
	return &logs{
		main: zap.New(prompt{core, zapcore.DebugLevel}), requests: zap.New(prompt{core, zapcore.WarnLevel}),
		level: at, queue: queue,
	}, nil
}

// close writes what waits. What is logged to main afterwards is still written.
func (l *logs) close() { l.queue.close() }

// lostLines returns the line that stands where others are missing.
func lostLines(encoder zapcore.Encoder, lost int) []byte {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "lines of the log were dropped, since nobody took them"}
	line, err := encoder.EncodeEntry(entry, []zapcore.Field{zap.Int("lines", lost)})
	if err != nil {
		return nil
	}
	defer line.Free()
	return bytes.Clone(line.Bytes())
}

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
