package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

var (
	errStatus = errors.New("the answer is not 200")
	errAnswer = errors.New("the answer is not HTTP/1.1")
)

// readAnswer reads one answer and returns its body. It reads what these servers send and no more of HTTP/1.1, so that the load costs the
// machine little: a status, headers, and a body with a length or in chunks. The body is valid until the next call.
func readAnswer(r *bufio.Reader) ([]byte, error) {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the status: %w", err)
	}
	if len(status) < 13 || !bytes.HasPrefix(status, []byte("HTTP/1.1 ")) {
		return nil, errAnswer
	}
	ok := string(status[9:12]) == "200"
	length, err := readHeaders(r)
	if err != nil {
		return nil, err
	}
	var body []byte
	if length >= 0 {
		body = make([]byte, length)
		_, err = io.ReadFull(r, body)
	} else {
		body, err = readChunks(r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", errStatus, body)
	}
	return body, nil
}

// readHeaders returns the body's length; -1: it is in chunks.
func readHeaders(r *bufio.Reader) (int, error) {
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("reading the headers: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, errAnswer
			}
		}
	}
}

func readChunks(r *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err //nolint:wrapcheck // readAnswer says what was being done
		}
		n, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return nil, errAnswer
		}
		at := len(body)
		body = append(body, make([]byte, n+2)...)
		if _, err := io.ReadFull(r, body[at:]); err != nil {
			return nil, err //nolint:wrapcheck // readAnswer says what was being done
		}
		body = body[:at+int(n)]
		if n == 0 {
			return body, nil
		}
	}
}
