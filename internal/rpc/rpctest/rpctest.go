// Package rpctest has small real services for the tests of what carries calls: the ProfileService over a map, a service of
// streams, keys that prove themselves, and a memory of repeated mutations. Tests alone import it.
package rpctest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/credential"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/rpc/mount"
)

// Profiles keeps users in a map. Its hooks let a test look into a call.
type Profiles struct {
	profilev1connect.UnimplementedProfileServiceHandler

	// OnCall, if set, is called at the beginning of each call; its error is the answer.
	OnCall func(ctx context.Context, request proto.Message) error
	// Memory gets the answers of mutations that have a key.
	Memory *Memory

	mu    sync.Mutex
	users map[string]*profilev1.User
	calls int
}

// Calls returns how many calls came to the handlers.
func (p *Profiles) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *Profiles) enter(ctx context.Context, request proto.Message) error {
	p.mu.Lock()
	p.calls++
	p.mu.Unlock()
	if p.OnCall != nil {
		return p.OnCall(ctx, request)
	}
	return nil
}

// CreateUser implements profilev1connect.ProfileServiceHandler.
func (p *Profiles) CreateUser(ctx context.Context, r *profilev1.CreateUserRequest) (*profilev1.CreateUserResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	user, _ := proto.Clone(r.GetUser()).(*profilev1.User)
	user.Id = "usr_" + strconv.Itoa(len(p.users)+1)
	user.Etag = "e1"
	if p.users == nil {
		p.users = make(map[string]*profilev1.User)
	}
	p.users[user.GetId()] = user
	answer := &profilev1.CreateUserResponse{User: user}
	if p.Memory != nil {
		p.Memory.Remember(call.From(ctx), answer)
	}
	return answer, nil
}

func (p *Profiles) find(id string) (*profilev1.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if user, ok := p.users[id]; ok {
		return user, nil
	}
	return nil, fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such user")
}

// GetUser implements profilev1connect.ProfileServiceHandler.
func (p *Profiles) GetUser(ctx context.Context, r *profilev1.GetUserRequest) (*profilev1.GetUserResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	user, err := p.find(r.GetId())
	return &profilev1.GetUserResponse{User: user}, err
}

// UpdateUser implements profilev1connect.ProfileServiceHandler; it replaces the handle.
func (p *Profiles) UpdateUser(ctx context.Context, r *profilev1.UpdateUserRequest) (*profilev1.UpdateUserResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	user, err := p.find(r.GetId())
	if err != nil {
		return nil, err
	}
	if etag := r.GetUser().GetEtag(); etag != "" && etag != user.GetEtag() {
		return nil, fault.New(errorsv1.Reason_REASON_ETAG_MISMATCH, "the user has changed since the etag was given")
	}
	user.Handle = r.GetUser().GetHandle()
	return &profilev1.UpdateUserResponse{User: user}, nil
}

// DeleteUser implements profilev1connect.ProfileServiceHandler.
func (p *Profiles) DeleteUser(ctx context.Context, r *profilev1.DeleteUserRequest) (*profilev1.DeleteUserResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	if _, err := p.find(r.GetId()); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, r.GetId())
	return &profilev1.DeleteUserResponse{}, nil
}

// LookupUser implements profilev1connect.ProfileServiceHandler.
func (p *Profiles) LookupUser(ctx context.Context, r *profilev1.LookupUserRequest) (*profilev1.LookupUserResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, user := range p.users {
		if user.GetEmail() == r.GetEmail() {
			return &profilev1.LookupUserResponse{User: user}, nil
		}
	}
	return nil, fault.New(errorsv1.Reason_REASON_NOT_FOUND, "there is no such user")
}

// ListUsers implements profilev1connect.ProfileServiceHandler.
func (p *Profiles) ListUsers(ctx context.Context, r *profilev1.ListUsersRequest) (*profilev1.ListUsersResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := &profilev1.ListUsersResponse{}
	for i := range len(p.users) {
		answer.Users = append(answer.Users, p.users["usr_"+strconv.Itoa(i+1)])
	}
	return answer, nil
}

// GetUserSummary implements profilev1connect.ProfileServiceHandler.
func (p *Profiles) GetUserSummary(ctx context.Context, r *profilev1.GetUserSummaryRequest) (*profilev1.GetUserSummaryResponse, error) {
	if err := p.enter(ctx, r); err != nil {
		return nil, err
	}
	user, err := p.find(r.GetId())
	if err != nil {
		return nil, err
	}
	return &profilev1.GetUserSummaryResponse{Summary: &profilev1.UserSummary{
		Id: user.GetId(), Handle: user.GetHandle(), Locale: user.GetLocale(), Etag: user.GetEtag(),
	}}, nil
}

// Memory is an idempotency.Replayer over a map.
type Memory struct {
	mu      sync.Mutex
	answers map[[32]byte]remembered
}

type remembered struct {
	request [32]byte
	answer  []byte
}

// Replay implements idempotency.Replayer.
func (m *Memory) Replay(_ context.Context, c *call.Call) ([]byte, bool, error) {
	if c.Operation == nil {
		return nil, false, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.answers[c.Operation.KeyHash]
	switch {
	case !ok:
		return nil, false, nil
	case found.request != c.Operation.RequestHash:
		return nil, false, fault.New(errorsv1.Reason_REASON_IDEMPOTENCY_MISMATCH, "the key was used for another request")
	}
	c.Replayed = true
	return found.answer, true, nil
}

// Remember keeps the answer of a call that has a key.
func (m *Memory) Remember(c *call.Call, answer proto.Message) {
	if c == nil || c.Operation == nil {
		return
	}
	body, err := proto.Marshal(answer)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers == nil {
		m.answers = make(map[[32]byte]remembered)
	}
	m.answers[c.Operation.KeyHash] = remembered{c.Operation.RequestHash, body}
}

// Keys makes keys and proves them; it is an mount.Authenticator.
type Keys struct {
	mu    sync.Mutex
	known map[string]struct{}
	asked int
}

// Tenant makes a key of a tenant.
func (k *Keys) Tenant(t testing.TB, tenant ident.TenantID) string {
	t.Helper()
	_, full, err := credential.NewTenantKey(rand.Reader, tenant)
	return k.keep(t, full, err)
}

// Operator makes an operator's key.
func (k *Keys) Operator(t testing.TB) string {
	t.Helper()
	_, full, err := credential.NewOperatorKey(rand.Reader)
	return k.keep(t, full, err)
}

func (k *Keys) keep(t testing.TB, full string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = make(map[string]struct{})
	}
	k.known[full] = struct{}{}
	return full
}

// Asked returns how many keys were looked up.
func (k *Keys) Asked() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

// Authenticate implements mount.Authenticator.
func (k *Keys) Authenticate(_ context.Context, bearer string, c *call.Call) (call.Principal, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	key, err := credential.Parse(bearer)
	if err != nil {
		return call.Principal{}, err
	}
	if _, ok := k.known[bearer]; !ok || key.Kind == call.TenantKey && key.Tenant != c.Tenant {
		return call.Principal{}, fault.New(errorsv1.Reason_REASON_CREDENTIAL_INVALID, "the key is not known")
	}
	return call.Principal{Kind: key.Kind, KeyID: key.ID}, nil
}

// Options returns the handlers' options for a test.
func Options(t testing.TB, keys *Keys, memory *Memory, change func(*mount.Config)) []connect.HandlerOption {
	t.Helper()
	cfg := mount.Config{
		Authenticator: keys, Replayer: memory, Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
	}
	if change != nil {
		change(&cfg)
	}
	options, err := mount.HandlerOptions(cfg)
	if err != nil {
		t.Fatalf("making handler options: %v", err)
	}
	return options
}
