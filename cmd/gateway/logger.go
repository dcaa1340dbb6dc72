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

// The lines of requests are written together: a write for each costs as much as the rest of
// what HTTP does for a request.
const (
	flushEvery = 200 * time.Millisecond
	flushSize  = 64 << 10
)

// Logs are the two logs of a process, which write to one place in the order of their lines and
// never block. A process that is killed, or crashes, loses the lines of the last flushEvery.
type logs struct {
	main     *zap.Logger // its lines are written at once, after those that wait
	requests *zap.Logger // its lines below Warn wait until flushEvery or flushSize
	level    zap.AtomicLevel
	buffer   *zapcore.BufferedWriteSyncer
	writer   *logWriter
}

// newLogs writes to w at a level of zap's and in one of two formats: json for
// machines, console for people. Close ends it.
func newLogs(w io.Writer, level, format string) (*logs, error) {
	return newLogsAt(zapcore.DefaultClock, w, level, format)
}

// newLogsAt takes the time from clock.
func newLogsAt(clock zapcore.Clock, w io.Writer, level, format string) (*logs, error) {
	at, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return nil, fmt.Errorf("log-level is %q: %w", level, err)
	}
	encoder := newEncoder(format, isColourful(w))
	writer := newLogWriter(w, func(dropped int) []byte { return droppedLine(encoder, dropped) })
	buffer := &zapcore.BufferedWriteSyncer{WS: writer, Size: flushSize, FlushInterval: flushEvery, Clock: clock}
	core := zapcore.NewCore(encoder, buffer, at)
	return &logs{
		main:     zap.New(prompt{core, zapcore.DebugLevel, writer}),
		requests: zap.New(prompt{core, zapcore.WarnLevel, writer}),
		level:    at, buffer: buffer, writer: writer,
	}, nil
}

// close writes what waits, as far as it is taken within lastWords. Nothing may be logged
// afterwards. It is called once.
func (l *logs) close() {
	_ = l.buffer.Stop() // writes to writer, which takes everything
	l.writer.close()
}

// droppedLine returns the line that stands where others are missing.
func droppedLine(encoder zapcore.Encoder, dropped int) []byte {
	entry := zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: "lines of the log were dropped, since they could not be written"}
	line, err := encoder.EncodeEntry(entry, []zapcore.Field{zap.Int("lines", dropped)})
	if err != nil {
		return nil
	}
	defer line.Free()
	return bytes.Clone(line.Bytes())
}

// A prompt writes what waits as soon as a line of some level comes.
type prompt struct {
	zapcore.Core
	from   zapcore.Level
	writer *logWriter
}

// With is zapcore.Core.
func (p prompt) With(fields []zapcore.Field) zapcore.Core {
	return prompt{p.Core.With(fields), p.from, p.writer}
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
	if len(fields) == 1 && isDispensable(fields[0]) && p.writer.drops() {
		return nil
	}
	err := p.Core.Write(entry, fields)
	if entry.Level >= p.from {
		err = errors.Join(err, p.Sync())
	}
	return err
}

// isDispensable reports whether a line is one of those that strangers can cause without end.
func isDispensable(field zapcore.Field) bool {
	line, ok := field.Interface.(interface{ Dispensable() bool })
	return ok && line.Dispensable()
}

func newEncoder(format string, colour bool) zapcore.Encoder {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey, cfg.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.SecondsDurationEncoder
	if format == "console" {
		return newConsoleEncoder(cfg, colour)
	}
	return zapcore.NewJSONEncoder(cfg)
}
