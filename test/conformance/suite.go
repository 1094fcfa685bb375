package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// The suite's messages are internal to its module, so the few fields that matter are read and written by number:
// ServerCompatRequest{http_version = 2}, ServerCompatResponse{host = 1, port = 2}.
const (
	fieldHTTPVersion = 2
	fieldHost        = 1
	fieldPort        = 2
	httpVersion1     = 1
	httpVersion2     = 2
	maxMessage       = 1 << 20
)

var errMessage = errors.New("not a message of the suite")

func readMessage(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("reading a length: %w", err)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMessage {
		return nil, errMessage
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, fmt.Errorf("reading a message: %w", err)
	}
	return message, nil
}

func writeMessage(w io.Writer, message []byte) error {
	framed := append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...) //nolint:gosec // a few bytes
	if _, err := w.Write(framed); err != nil {
		return fmt.Errorf("writing a message: %w", err)
	}
	return nil
}

func compatResponse(host string, port int) []byte {
	out := protowire.AppendString(protowire.AppendTag(nil, fieldHost, protowire.BytesType), host)
	return protowire.AppendVarint(protowire.AppendTag(out, fieldPort, protowire.VarintType), uint64(port)) //nolint:gosec // a port
}

// portOf returns the port of a ServerCompatResponse.
func portOf(message []byte) (int, error) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0, errMessage
		}
		message = message[n:]
		if number == fieldPort && kind == protowire.VarintType {
			port, m := protowire.ConsumeVarint(message)
			if m < 0 || port > 65535 {
				return 0, errMessage
			}
			return int(port), nil
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return 0, errMessage
		}
		message = message[n:]
	}
	return 0, errMessage
}

// startReference starts the reference server as the suite asks, but for an HTTP version of ours. Of a field that is given twice the last
// value counts.
func startReference(ctx context.Context, path string, request []byte, httpVersion uint64) (port int, stop func(), err error) {
	request = protowire.AppendVarint(protowire.AppendTag(slices.Clone(request), fieldHTTPVersion, protowire.VarintType), httpVersion)
	command := exec.CommandContext(ctx, path)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return 0, nil, fmt.Errorf("starting the reference server: %w", err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return 0, nil, fmt.Errorf("starting the reference server: %w", err)
	}
	if err := command.Start(); err != nil {
		return 0, nil, fmt.Errorf("starting the reference server: %w", err)
	}
	stop = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	}
	if err := errors.Join(writeMessage(in, request), in.Close()); err != nil {
		stop()
		return 0, nil, err
	}
	response, err := readMessage(out)
	if err == nil {
		port, err = portOf(response)
	}
	if err != nil {
		stop()
		return 0, nil, fmt.Errorf("reading the reference server's answer: %w", err)
	}
	return port, stop, nil
}
