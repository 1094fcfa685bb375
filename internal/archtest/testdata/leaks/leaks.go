// Package leaks has each way around the redacting log handler that archtest must find. A line that is wrong ends in a comment
// "want" with a part of what is to be said.
package leaks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
)

type holder struct{ user *profilev1.User }

type named struct{ user *profilev1.User }

func (named) String() string { return "a user" }

func report(format string, args ...any) { _ = fmt.Sprintf(format, args...) }

func formats(w io.Writer, user *profilev1.User, any proto.Message, users []*profilev1.User) error {
	_ = fmt.Sprint(user)                        // want "formats a protobuf message"
	_ = fmt.Sprintf("%v", any)                  // want "formats a protobuf message"
	_ = fmt.Sprintf("%+v", users)               // want "formats a protobuf message"
	_ = fmt.Sprintf("%v", holder{user})         // want "formats a protobuf message"
	_ = fmt.Sprintf("%v", map[int]holder{})     // want "formats a protobuf message"
	_, _ = fmt.Fprintln(w, &user)               // want "formats a protobuf message"
	report("%s", user)                          // want "formats a protobuf message"
	return fmt.Errorf("storing %v", *&holder{}) // want "formats a protobuf message"
}

func generic[M proto.Message](m M) string {
	return fmt.Sprint(m) // want "formats a protobuf message"
}

func renders(user *profilev1.User, any proto.Message) {
	_ = user.String()                                   // want "calls String of a protobuf message"
	_ = user.GetPostalAddress().String()                // want "calls String of a protobuf message"
	_, _ = protojson.Marshal(user)                      // want "protojson.Marshal"
	_ = protojson.Format(user)                          // want "protojson.Format"
	_, _ = protojson.MarshalOptions{}.Marshal(any)      // want "protojson.Marshal"
	_ = prototext.Format(any)                           // want "prototext.Format"
	_, _ = json.Marshal(holder{user})                   // want "json.Marshal"
	_ = json.NewEncoder(io.Discard).Encode(users(user)) // want "json.Encode"
	_ = (&http.Request{}).RemoteAddr                    // want "RemoteAddr"
}

func users(u *profilev1.User) []*profilev1.User { return []*profilev1.User{u} }

func fine(user *profilev1.User) error {
	slog.Info("stored", "user", user)
	_ = fmt.Sprintf("%T", user)
	_ = fmt.Sprint(user.GetId(), user.GetRole(), user.GetRole().String())
	_ = fmt.Sprint(named{user})
	_ = append([]any{}, user)
	_ = protojson.Unmarshal(nil, user)
	return errors.New("no user")
}
