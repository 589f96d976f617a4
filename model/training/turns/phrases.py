"""Phrases spoken over the assistant: backchannels and interruptions.

Two sets that share only the shortest words: one for training, one for evaluation. Pure data.
"""

from __future__ import annotations

from typing import Final

BACKCHANNELS: Final = (
    *("Mm-hmm.", "Mhm.", "Mm.", "Mmm.", "Hmm.", "Mm, mm.", "Uh-huh.", "Uh huh.", "Aha.", "Ah.", "Oh."),
    *("Yeah.", "Yeah, yeah.", "Yep.", "Right.", "Right, right.", "Okay.", "Okay, okay.", "I see.", "Sure.", "Wow."),
    *("Oh, wow.", "Oh, okay.", "Got it.", "Cool.", "Nice.", "True.", "Alright.", "Oh, really.", "Yes."),
)
COMMON: Final = (*BACKCHANNELS[:11], "Yeah.", "Right.", "Okay.", "I see.", "Sure.", "Wow.")
"""Spoken by every voice."""

INTERRUPTIONS: Final = (
    *("Stop.", "Stop!", "Stop it.", "Please stop.", "Wait.", "Wait!", "Wait a second.", "Wait, wait.", "No.", "No!"),
    *("No, no.", "No no no.", "No, that's wrong.", "Hold on.", "Hang on.", "Hang on a minute.", "Enough.", "Pause."),
    *("Quiet.", "Be quiet.", "Hey.", "Hey, listen.", "Sorry.", "Sorry, what?", "Excuse me.", "Pardon?", "What?"),
    *("What was that?", "Why?", "Why is that?", "Who?", "Who said that?", "How?", "How much is it?", "When?"),
    *("When does it start?", "Where?", "Where is that?", "Which one?", "Never mind.", "Forget it.", "Cancel that."),
    *("Actually, no.", "Actually, tell me more.", "But why?", "But what if I can't?", "Listen.", "Hello?"),
    *("Louder please.", "Slower please.", "Say that again.", "Repeat that.", "Go back.", "Skip that.", "Next."),
    *("What about tomorrow?", "What about the price?", "What do you mean?", "How about Friday?", "Can you help me?"),
    *("Can you be brief?", "Could you say it again?", "Could you stop?", "Do you know her?", "Do I need a ticket?"),
    *("Does it rain?", "Is it far?", "Is there another one?", "Are you sure?", "Are there any left?", "Let me think."),
    *(
        "Let me ask you something.",
        "I have a question.",
        "I don't want that.",
        "I mean the other one.",
        "I meant Paris.",
    ),
    *("I need the address.", "I want to know more.", "I think you're wrong.", "I said Monday.", "I'd like to book it."),
    *("That's not what I asked.", "That's wrong.", "That is enough.", "Thanks, that's enough.", "Thank you, stop."),
    *("Tell me about Rome.", "Tell me the time.", "Show me the list.", "Shut up.", "Set a timer.", "Set an alarm."),
    *("Turn it off.", "Turn on the lights.", "Play some music.", "Call my mother.", "Give me the number."),
    *("Please wait.", "Please tell me the time.", "Just the name.", "Just a moment.", "One moment.", "One more thing."),
    *("My name is Anna.", "My order is late.", "The other one.", "The first one was better.", "This is wrong."),
    *("There is a mistake.", "You already said that.", "You said ten.", "Your voice is too loud.", "We need two."),
    *(
        "Make it shorter.",
        "Change the date.",
        "Change the subject.",
        "Write it down.",
        "Read it again.",
        "Open the door.",
    ),
    *(
        "So what happens then?",
        "So I can go?",
        "And then?",
        "And what else?",
        "Or maybe not.",
        "Then what?",
        "If I pay now?",
    ),
    *(
        "Somebody is at the door.",
        "Good, now tell me a joke.",
        "Great, and the second?",
        "Um, can you wait?",
        "Uh, no.",
    ),
    *("Um, what about me?", "Well, I don't know.", "Well, no.", "Okay, stop.", "Okay, but I need two.", "Okay, next."),
    *("Yeah, but what about me?", "Yeah, no, stop.", "Right, and then what?", "Right, but not now.", "Sure, but how?"),
    *("I see, but why?", "Oh, wait.", "Oh, no, that's wrong.", "Mm, no.", "Hmm, I don't think so.", "Ah, hold on."),
    *("Mother called.", "Maybe later.", "Monday is better.", "Many people say so.", "Open it.", "Only one."),
    *("Yesterday you said no.", "You know what?", "Use the other one.", "Right now please.", "Write to her."),
    *(
        "Seven o'clock.",
        "See you later.",
        "Search for trains.",
        "Once more.",
        "Why not?",
        "Which way?",
        "White or red?",
    ),
    *("Five.", "Two tickets.", "Not that.", "Not now.", "Nothing.", "No thanks.", "Now.", "Nobody asked.", "Don't."),
    *("Don't do that.", "Done.", "Go on to the next one.", "Got any others?", "Cut it.", "Come on.", "Computer."),
    *("English please.", "Explain that.", "Everything?", "Email it.", "Again please.", "After lunch.", "All of them?"),
)

EVALUATION_BACKCHANNELS: Final = (
    *("Mm-hmm.", "Mhm.", "Mm.", "Hmm.", "Uh-huh.", "Yeah.", "Right.", "Okay.", "I see.", "Sure.", "Wow.", "Oh.", "Ah."),
    *("Yeah, yeah.", "Got it.", "Oh, okay."),
)
EVALUATION_INTERRUPTIONS: Final = (
    *("Stop.", "Wait.", "No.", "No, no.", "Hold on.", "Hang on a second.", "Stop talking.", "What?", "Sorry?"),
    *("Wait a minute.", "Actually, I wanted the train.", "Actually, never mind.", "What about Sunday?", "Why so late?"),
    *(
        "How long does it take?",
        "How do I get there?",
        "Where can I buy it?",
        "Can you spell that?",
        "Can I pay by card?",
    ),
    *("Could you speak up?", "Is that by bus?", "Do they have parking?", "Are dogs allowed?", "Will it snow?"),
    *("I'm looking for something cheaper.", "I don't understand.", "I already tried that.", "I asked for two rooms."),
    *("Let's talk about dinner.", "Let me stop you there.", "That's too expensive.", "That was last week."),
    *("Tell me something else.", "Turn down the volume.", "Switch to German.", "Start over.", "Remind me at noon."),
    *("Never mind that.", "Not tonight.", "Please be shorter.", "The blue one.", "There's no time.", "We have a dog."),
    *("You got it wrong.", "You mean Boston?", "My phone is ringing.", "Order a pizza.", "Book a table for two."),
    *("Skip to the end.", "Shorter please.", "Which of them is open?", "Who wrote it?", "When is the last one?"),
    *("So is it free?", "And on weekends?", "But I don't drive.", "Or the day after.", "Hey, stop."),
)
EVALUATION_TURNED: Final = (
    *(
        "Yeah, but what about Sunday?",
        "Yeah, I already know that.",
        "Right, but how much is it?",
        "Okay, that's enough.",
    ),
    *(
        "Okay, and where is it?",
        "Sure, but is it safe?",
        "Mm, I don't like that.",
        "Oh, wait a second.",
        "I see, so it's closed?",
    ),
    *("Uh-huh, and after that?",),
)
"""Interruptions that begin with a backchannel."""
