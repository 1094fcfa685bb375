// Package profile is ProfileService: the users of a tenant. It is the translation between RPC and repository and nothing else;
// what it promises stands in proto/domicile/profile/v1.
package profile

import (
	"context"
	"net/http"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile"
	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/gen/domicile/profile/v1/profilev1connect"
)

// Service returns the service, to be listed with the others of a product.
func Service() domicile.Service {
	return domicile.Service{
		Name:     "profile",
		Entities: []proto.Message{(*profilev1.User)(nil)},
		Register: func(rt domicile.Runtime) (string, http.Handler, error) {
			users, err := entity.New[*profilev1.User](rt.Entities)
			if err != nil {
				return "", nil, err
			}
			path, handler := profilev1connect.NewProfileServiceHandler(&server{users: users}, rt.HandlerOptions...)
			return path, handler, nil
		},
	}
}

// server implements profilev1connect.ProfileServiceHandler.
type server struct {
	users *entity.Repository[*profilev1.User]
}

// CreateUser creates a user.
func (s *server) CreateUser(ctx context.Context, req *profilev1.CreateUserRequest) (*profilev1.CreateUserResponse, error) {
	user := proto.CloneOf(req.GetUser())
	setDefaults(user)
	return entity.Create(ctx, s.users, user, func(u *profilev1.User) *profilev1.CreateUserResponse {
		return &profilev1.CreateUserResponse{User: u}
	})
}

// GetUser answers one user.
func (s *server) GetUser(ctx context.Context, req *profilev1.GetUserRequest) (*profilev1.GetUserResponse, error) {
	user, err := s.users.Get(ctx, req.GetId())
	if err != nil {
		return nil, err
	}
	return &profilev1.GetUserResponse{User: user}, nil
}

// ListUsers answers a page of users.
func (s *server) ListUsers(ctx context.Context, req *profilev1.ListUsersRequest) (*profilev1.ListUsersResponse, error) {
	users, next, err := s.users.List(ctx, entity.Page{Size: req.GetPageSize(), Token: req.GetPageToken()})
	if err != nil {
		return nil, err
	}
	return &profilev1.ListUsersResponse{Users: users, NextPageToken: next}, nil
}

// UpdateUser changes a user.
func (s *server) UpdateUser(ctx context.Context, req *profilev1.UpdateUserRequest) (*profilev1.UpdateUserResponse, error) {
	change := entity.Change[*profilev1.User]{
		Etag:  req.GetUser().GetEtag(),
		Field: "user",
		Apply: func(user *profilev1.User) error {
			if err := entity.ApplyMask(user, req.GetUser(), req.GetUpdateMask()); err != nil {
				return err
			}
			setDefaults(user)
			return nil
		},
	}
	return entity.Update(ctx, s.users, req.GetId(), change, func(u *profilev1.User) *profilev1.UpdateUserResponse {
		return &profilev1.UpdateUserResponse{User: u}
	})
}

// DeleteUser deletes a user.
func (s *server) DeleteUser(ctx context.Context, req *profilev1.DeleteUserRequest) (*profilev1.DeleteUserResponse, error) {
	return entity.Delete(ctx, s.users, req.GetId(), req.GetEtag(), func(*profilev1.User) *profilev1.DeleteUserResponse {
		return &profilev1.DeleteUserResponse{}
	})
}

// LookupUser answers the user who has an e-mail address.
func (s *server) LookupUser(ctx context.Context, req *profilev1.LookupUserRequest) (*profilev1.LookupUserResponse, error) {
	user, err := s.users.Lookup(ctx, "email", req.GetEmail())
	if err != nil {
		return nil, err
	}
	return &profilev1.LookupUserResponse{User: user}, nil
}

// setDefaults stores what the contract says of an enum that is not given.
func setDefaults(user *profilev1.User) {
	if user != nil && user.GetRole() == profilev1.Role_ROLE_UNSPECIFIED {
		user.Role = profilev1.Role_ROLE_MEMBER
	}
	if user != nil && user.GetState() == profilev1.UserState_USER_STATE_UNSPECIFIED {
		user.State = profilev1.UserState_USER_STATE_ACTIVE
	}
}
