"""Uses of a trained model beside sampling, all of them functions of `encode` and `decode`."""
