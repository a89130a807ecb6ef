"""What theory says of networks that learn skills, in closed form: plain functions of numbers."""
