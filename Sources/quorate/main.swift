print("quorate")
