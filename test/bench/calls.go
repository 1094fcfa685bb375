package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

// The protocols and the operations that are measured.
const (
	protocolREST    = "REST"
	protocolConnect = "Connect"
	protocolGRPC    = "gRPC"
	operationCreate = "create"
	operationGet    = "get"
)

// seeded is how many users the reads read, in turn.
const seeded = 1000

// serial numbers users, so that each created one has an e-mail address and an idempotency key that no other has. It begins where no earlier
// run on the same data can have been.
type serial struct{ n atomic.Int64 }

func newSerial() *serial {
	s := &serial{}
	s.n.Store(time.Now().UnixNano())
	return s
}

func (s *serial) next() string { return strconv.FormatInt(s.n.Add(1), 36) }

// newUser is a user as products have them: about 400 bytes.
func newUser(name string) *profilev1.User {
	return &profilev1.User{
		GivenName: "Ada", FamilyName: "Lovelace", Email: name + "@example.com", Phone: "+4969123456", Locale: "en-GB", TimeZone: "Europe/Berlin",
		PostalAddress: &profilev1.PostalAddress{Lines: []string{"Mainzer Landstrasse 1"}, Locality: "Frankfurt", PostalCode: "60329", Country: "DE"},
		RegulatedNote: "Accepted the terms of the regulated account on paper.", Handle: "ada-" + name,
		Role: profilev1.Role_ROLE_MEMBER, AvatarColor: "#3366cc",
	}
}

// writer makes the bytes of requests over HTTP/1.1. It is one worker's.
type writer struct {
	key    string
	serial *serial
	users  []string
	next   int
	buffer bytes.Buffer
}

// user is the id of the next user to read.
func (w *writer) user() string {
	w.next++
	return w.users[w.next%len(w.users)]
}

// request returns the next request of an operation, valid until the next call.
func (w *writer) request(protocol, operation string) ([]byte, error) {
	switch {
	case protocol == protocolREST && operation == operationGet:
		return w.write("GET", "/v1/users/"+w.user(), "", "", nil), nil
	case protocol == protocolREST:
		name := w.serial.next()
		u := newUser(name)
		a := u.GetPostalAddress()
		body, err := json.Marshal(map[string]any{
			"givenName": u.GetGivenName(), "familyName": u.GetFamilyName(), "email": u.GetEmail(), "phone": u.GetPhone(),
			"locale": u.GetLocale(), "timeZone": u.GetTimeZone(), "regulatedNote": u.GetRegulatedNote(), "handle": u.GetHandle(),
			"role": u.GetRole().String(), "avatarColor": u.GetAvatarColor(),
			"postalAddress": map[string]any{
				"lines": a.GetLines(), "locality": a.GetLocality(), "postalCode": a.GetPostalCode(), "country": a.GetCountry(),
			},
		})
		return w.write("POST", "/v1/users", "application/json", name, body), err
	case operation == operationGet:
		body, err := proto.Marshal(&profilev1.GetUserRequest{Id: w.user()})
		return w.write("POST", profilev1connect.ProfileServiceGetUserProcedure, "application/proto", "", body), err
	default:
		name := w.serial.next()
		body, err := proto.Marshal(&profilev1.CreateUserRequest{User: newUser(name)})
		return w.write("POST", profilev1connect.ProfileServiceCreateUserProcedure, "application/proto", name, body), err
	}
}

func (w *writer) write(method, path, contentType, idempotencyKey string, body []byte) []byte {
	b := &w.buffer
	b.Reset()
	_, _ = fmt.Fprintf(b, "%s %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept-Encoding: identity\r\n", method, path)
	_, _ = fmt.Fprintf(b, "Authorization: Bearer %s\r\nDomicile-Tenant: %s\r\n", w.key, caller)
	if idempotencyKey != "" {
		_, _ = fmt.Fprintf(b, "Idempotency-Key: %s\r\n", idempotencyKey)
	}
	if contentType == "application/proto" {
		b.WriteString("Connect-Protocol-Version: 1\r\n")
	}
	if method == "POST" {
		_, _ = fmt.Fprintf(b, "Content-Type: %s\r\nContent-Length: %d\r\n", contentType, len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// seedUsers creates users and returns their ids.
func seedUsers(ctx context.Context, address, key string, n int) ([]string, error) {
	c, err := dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	w := &writer{key: key, serial: newSerial()}
	reader := bufio.NewReader(c)
	ids := make([]string, n)
	for i := range ids {
		request, err := w.request(protocolConnect, operationCreate)
		if err != nil {
			return nil, err
		}
		if _, err := c.Write(request); err != nil {
			return nil, fmt.Errorf("creating a user: %w", err)
		}
		body, err := readAnswer(reader)
		if err != nil {
			return nil, fmt.Errorf("creating a user: %w", err)
		}
		var created profilev1.CreateUserResponse
		if err := proto.Unmarshal(body, &created); err != nil || created.GetUser().GetId() == "" {
			return nil, errors.Join(errors.New("a created user has no id"), err)
		}
		ids[i] = created.GetUser().GetId()
	}
	return ids, nil
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return c, nil
}
