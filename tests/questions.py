"""Questions that the chat model of the local default answers rightly when told to be brief."""

BRIEFLY = "You are a helpful assistant. Answer in one short sentence."
QUESTIONS = {
    "What is the capital of France?": "Paris",
    "What is the capital of Italy?": "Rome",
    "What is the capital of Japan?": "Tokyo",
    "How many days are in a week?": "7 days",
    "What is the opposite of hot?": "cold",
    "What is the chemical symbol for water?": "H2O",
    "How many legs does a spider have?": "8",
    "What is the first month of the year?": "January",
    "What is frozen water called?": "ice",
    "What planet do we live on?": "Earth",
}
